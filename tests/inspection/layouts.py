"""The layouts in which companies keep their data, as files, each with the tables that are expected of it and the decisions in churn.yaml.

Written before `churn init` was: it must find by mechanism what is expected here. Expected tables are made from the company itself, in
plain Python, and not by the platform's own reading.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from tests.inspection.truth import LAST, Company, day_s, second

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Layout:
    """What is expected of the files of a layout.

    Attributes:
        tables: by table the expected columns, and the rows in any order.
        decisions: expected values of churn.yaml by their place.
        left_out: columns that are expected to stay unmapped.
        asks: words that one of the questions must hold.
        until: end of the files.
    """

    tables: dict[str, tuple[Sequence[str], Rows]]
    decisions: dict[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    asks: Sequence[str] = ()
    until: datetime = LAST


def text(rows: Iterable[Sequence[object]], *, separator: str = ",", end: str = "\n") -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator=end).writerows(rows)
    return stream.getvalue()


def write(file: Path, content: str, encoding: str = "utf-8") -> None:
    """Write a file, byte by byte as given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode(encoding))


EVENTS = ("customer_id", "event_type", "occurred_s")
PAYMENTS = ("customer_id", "amount_cents", "status", "occurred_s")
CUSTOMERS = ("customer_id", "signed_up_s", "plan")
UNTIL = datetime(2024, 10, 1, tzinfo=UTC)
"""The end of the folders of days."""


def wide(folder: Path, company: Company) -> Layout:
    """One row a customer, a column for each month, and a label."""
    draw = Random(1)  # noqa: S311
    rows: Rows = []
    for customer in company.customers * 4:
        rows.append((f"A{len(rows) + 5000}", customer.plan, *(draw.randrange(0, 60) for _ in range(3)), round(draw.uniform(5, 90), 2), "yes" if draw.random() < 0.3 else "no"))  # fmt: skip
    head = ("account_no", "plan", "calls_2024_01", "calls_2024_02", "calls_2024_03", "monthly_fee", "has_churned")
    write(folder / "wide.csv", text([head, *rows]))
    names = ("customer_id", "plan", "calls_2024_01", "calls_2024_02", "calls_2024_03", "monthly_fee", "churned")
    return Layout(
        {"customers": (names, [(*row[:-1], row[-1] == "yes") for row in rows])},
        {
            "source.shape": "table",
            "source.customers.columns": {"customer_id": "account_no"},
            "source.customers.label": {"column": "has_churned", "churned": "yes", "stayed": "no"},
            "source.customers.attributes.calls_2024_01.kind": "number",
            "source.customers.attributes.plan.kind": "category",
        },
    )


def long(folder: Path, company: Company) -> Layout:
    """A log alone: who, when, what."""
    rows = [(f"u{act.customer}", act.at.isoformat(), act.word) for act in company.events]
    write(folder / "log.csv", text([("user", "when", "what"), *rows]))
    return Layout(
        {"events": (EVENTS, [(f"u{act.customer}", act.word, second(act.at)) for act in company.events])},
        {
            "source.shape": "history",
            "source.events.columns": {"customer_id": "user", "event_type": "what", "occurred": "when"},
            "events.roles.cancelled": ["cancelled"],
            "events.roles.session": ["login"],
            "events.roles.use": ["feature_click"],
            "events.types": ["feature_click", "support_ticket"],
            "label.kind": "event",
        },
    )


def german(folder: Path, company: Company) -> Layout:
    """Semicolons, decimal commas with points between thousands, days before months, umlauts in Windows-1252."""
    kunden = [
        (customer.number, customer.signed_up.strftime("%d.%m.%Y"), customer.plan, "Köln") for customer in company.customers
    ]
    write(
        folder / "Kundenstamm.csv",
        text([("Kundennummer", "Vertragsbeginn", "Tarif", "Straße"), *kunden], separator=";", end="\r\n"),
        "windows-1252",
    )
    words = {"settled": "bezahlt", "failed": "offen"}
    rechnungen = [
        (f"R{act.key}", act.customer, act.at.strftime("%d.%m.%Y"), german_money(act.cents), words[act.word])
        for act in company.payments
    ]
    write(
        folder / "Rechnungen.csv",
        text(
            [("Rechnungsnummer", "Kundennummer", "Rechnungsdatum", "Betrag", "Zahlungsstatus"), *rechnungen], separator=";"
        ),
    )
    return Layout(
        {
            "customers": (
                ("customer_id", "signed_up_s", "tarif"),
                [(str(c.number), day_s(c.signed_up), c.plan) for c in company.customers],
            ),
            "payments": (PAYMENTS, [(str(a.customer), a.cents, a.word, day_s(a.at)) for a in company.payments]),
        },
        {
            "source.customers.separator": ";",
            "source.customers.encoding": "windows-1252",
            "source.payments.decimal": ",",
            "source.payments.time_format": "%d.%m.%Y",
            "source.payments.values.status": {"bezahlt": "settled", "offen": "failed"},
            "label.kind": "inactivity",
        },
        left_out=["Straße"],
    )


def german_money(cents: int) -> str:
    """1.234,50."""
    return f"{cents / 100:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def american(folder: Path, company: Company) -> Layout:
    """Months before days, times with AM and PM, commas between thousands, a tab between fields."""
    customers = [(c.number, c.signed_up.strftime("%m/%d/%Y %I:%M:%S %p"), c.plan.title()) for c in company.customers]
    write(folder / "customers.tsv", text([("Customer ID", "Sign-Up Date", "Plan Name"), *customers], separator="\t"))
    orders = [
        (a.customer, a.at.strftime("%m/%d/%Y"), f"{a.cents / 100:,.2f}", f"{a.cents / 100 * 0.08:,.2f}")
        for a in company.payments
    ]
    write(folder / "orders.tsv", text([("Customer ID", "Order Date", "Order Total", "Sales Tax"), *orders], separator="\t"))
    return Layout(
        {
            "customers": (
                ("customer_id", "signed_up_s"),
                [(str(c.number), second(c.signed_up)) for c in company.customers],
            ),
            "payments": (PAYMENTS, [(str(a.customer), a.cents, "settled", day_s(a.at)) for a in company.payments]),
        },
        {
            "source.payments.separator": "\t",
            "source.payments.thousands": ",",
            "source.payments.columns.amount": "Order Total",
            "source.payments.time_format": "%m/%d/%Y",
            "source.customers.time_format": "%m/%d/%Y %I:%M:%S %p",
        },
        left_out=["Sales Tax"],
        asks=["name no zone"],
    )


def zeros(folder: Path, company: Company) -> Layout:
    """Three files whose ids differ by the zeros before them."""
    write(
        folder / "crm.csv",
        text(
            [
                ("id", "created_at", "plan"),
                *((f"{c.number:08}", c.signed_up.isoformat(), c.plan) for c in company.customers),
            ]
        ),
    )
    write(
        folder / "events.csv",
        text([("customer", "type", "ts"), *((a.customer, a.word, a.at.isoformat()) for a in company.events)]),
    )
    write(
        folder / "payments.csv",
        text(
            [
                ("customer", "paid_at", "amount", "status"),
                *((f"{a.customer:06}", a.at.isoformat(), f"{a.cents / 100:.2f}", a.word) for a in company.payments),
            ]
        ),
    )
    return Layout(
        {
            "customers": (CUSTOMERS, [(str(c.number), second(c.signed_up), c.plan) for c in company.customers]),
            "events": (EVENTS, [(str(a.customer), a.word, second(a.at)) for a in company.events]),
            "payments": (PAYMENTS, [(str(a.customer), a.cents, a.word, second(a.at)) for a in company.payments]),
        },
        {f"source.{table}.ids": {"strip": "0"} for table in ("customers", "events", "payments")},
    )


def payload(folder: Path, company: Company) -> Layout:
    """Events with details in JSON, an id each, and the time at which they came in."""
    rows = []
    for a in company.events:
        details = json.dumps({"page": "/home", "ms": a.key % 90, "note": "a, b"})
        rows.append((f"{a.key:032x}", f"usr_{a.customer}", a.word, details, f"{a.at:%Y-%m-%dT%H:%M:%S}.250Z", f"{a.at + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"))  # fmt: skip
    write(
        folder / "events.csv",
        text([("event_id", "user_id", "event_name", "properties", "timestamp", "received_at"), *rows]),
    )
    return Layout(
        {
            "events": (
                ("event_id", *EVENTS, "known_s"),
                [(f"{a.key:032x}", f"usr_{a.customer}", a.word, second(a.at), second(a.at) + 300) for a in company.events],
            )
        },
        {
            "source.events.columns": {
                "customer_id": "user_id", "event_id": "event_id", "event_type": "event_name", "occurred": "timestamp", "known": "received_at",
            },
        },
        left_out=["properties"],
    )  # fmt: skip


def refunds(folder: Path, company: Company) -> Layout:
    """Invoices with what was paid back in a column of its own, when it was due and the price of the list."""
    rows: Rows = []
    expected: Rows = []
    for a in company.payments:
        back = a.cents if a.key % 11 == 0 else 500 if a.key % 13 == 0 else 0
        status = "paid" if a.word == "settled" else "bounced"
        rows.append((f"INV-{a.key}", a.customer, f"{a.at:%Y-%m-%d}", f"{a.at + timedelta(days=14):%Y-%m-%d}", f"{(a.cents + 100) / 100:.2f}", f"{a.cents / 100:.2f}", f"{back / 100:.2f}", "EUR", status))  # fmt: skip
        if a.word == "settled" and back == a.cents:
            expected.append((str(a.customer), a.cents, "refunded", day_s(a.at)))
        elif a.word == "settled" and back:
            expected += [
                (str(a.customer), a.cents - back, "settled", day_s(a.at)),
                (str(a.customer), back, "refunded", day_s(a.at)),
            ]
        else:
            expected.append((str(a.customer), a.cents, a.word, day_s(a.at)))
    head = (
        "invoice_number",
        "client_id",
        "invoice_date",
        "due_date",
        "list_price",
        "amount",
        "amount_refunded",
        "currency",
        "state",
    )
    write(folder / "invoices.csv", text([head, *rows]))
    return Layout(
        {"payments": (PAYMENTS, expected)},
        {
            "source.payments.columns": {
                "customer_id": "client_id", "amount": "amount", "payment_id": "invoice_number", "occurred": "invoice_date", "due": "due_date",
                "list_price": "list_price", "refunded": "amount_refunded", "status": "state",
            },
            "source.payments.values.status": {"paid": "settled", "bounced": "failed"},
            "at_risk.cancelled_event": None,
        },
        left_out=["currency"],
    )  # fmt: skip


def unlabelled(folder: Path, company: Company) -> Layout:
    """One table in which nobody knows yet of today's customers."""
    draw = Random(3)  # noqa: S311
    rows: Rows = []
    for number in range(400):
        label = draw.choices(["1", "0", ""], [2, 5, 3])[0]
        rows.append((15_600_000 + number, draw.choice(["Müller", "Weber", "Roux"]), draw.randrange(350, 850), draw.choice(["France", "Spain"]), draw.choice(["F", "M"]), draw.randrange(18, 90), f"{draw.uniform(0, 2e5):.2f}", label))  # fmt: skip
    write(
        folder / "bank.csv",
        text([("CustomerId", "Surname", "CreditScore", "Geography", "Gender", "Age", "Balance", "Exited"), *rows]),
    )
    return Layout(
        {
            "customers": (
                ("customer_id", "credit_score", "geography", "balance", "churned"),
                [
                    (str(row[0]), float(row[2]), row[3], float(row[6]), None if row[7] == "" else row[7] == "1")
                    for row in rows
                ],
            )
        },
        {"source.customers.label": {"column": "Exited", "churned": "1", "stayed": "0", "unknown": ""}},
        left_out=["Surname", "Gender"],
    )


def no_id(folder: Path, company: Company) -> Layout:
    """A table without an id, with words for those who stayed and left."""
    draw = Random(5)  # noqa: S311
    rows: Rows = [(f"{draw.uniform(5, 90):.2f}", draw.randrange(0, 72), draw.choice(["fibre", "dsl", "none"]), draw.choices(["Attrited Customer", "Existing Customer"], [1, 4])[0]) for _ in range(400)]  # fmt: skip
    write(folder / "table.csv", text([("Charge", "TenureMonths", "Line", "Attrition_Flag"), *rows]))
    return Layout(
        {
            "customers": (
                ("charge", "tenure_months", "line", "churned"),
                [(float(r[0]), float(r[1]), r[2], r[3].startswith("A")) for r in rows],
            )
        },
        {
            "source.customers.columns": {"customer_id": "none"},
            "source.customers.label": {
                "column": "Attrition_Flag",
                "churned": "Attrited Customer",
                "stayed": "Existing Customer",
            },
        },
    )


def epoch(folder: Path, company: Company) -> Layout:
    """Times counted from 1970, in seconds here and in milliseconds there."""
    write(
        folder / "users.csv",
        text([("uid", "created", "plan"), *((c.number, second(c.signed_up), c.plan) for c in company.customers)]),
    )
    write(
        folder / "clicks.csv",
        text([("uid", "ts", "action"), *((a.customer, second(a.at) * 1000 + 7, a.word) for a in company.events)]),
    )
    return Layout(
        {
            "customers": (CUSTOMERS, [(str(c.number), second(c.signed_up), c.plan) for c in company.customers]),
            "events": (EVENTS, [(str(a.customer), a.word, second(a.at)) for a in company.events]),
        },
        {"source.customers.time_format": "epoch_s", "source.events.time_format": "epoch_ms"},
    )


def excel(folder: Path, company: Company) -> Layout:
    """CSV as spreadsheets write it: a line sep=, a mark of its encoding, CRLF, days counted from 1899, and empty lines at the end."""
    zero = datetime(1899, 12, 30, tzinfo=company.payments[0].at.tzinfo)
    rows = [(a.customer, (a.at - zero).days, f"{a.cents / 100:.2f}".replace(".", ","), "Zahlung") for a in company.payments]
    body = text([("Kunde", "Datum", "Betrag in €", "Art"), *rows], separator=";", end="\r\n")
    write(folder / "Umsätze.csv", "\ufeffsep=;\r\n" + body + ";;;\r\n" * 3)
    return Layout(
        {"payments": (PAYMENTS, [(str(a.customer), a.cents, "settled", day_s(a.at)) for a in company.payments])},
        {
            "source.payments.separator": ";",
            "source.payments.decimal": ",",
            "source.payments.time_format": "excel_days",
            "source.payments.columns": {"customer_id": "Kunde", "amount": "Betrag in €", "occurred": "Datum"},
        },
    )


def by_day(folder: Path, company: Company) -> Layout:
    """Folders of Parquet by day, with the types of their writer."""
    frame = pl.DataFrame(
        {
            "client": [a.customer for a in company.events], "action": [a.word for a in company.events], "happened_at": [a.at for a in company.events],
        }
    ).with_columns(pl.col("happened_at").dt.cast_time_unit("us"))  # fmt: skip
    for (day,), rows in frame.filter(pl.col("happened_at") < UNTIL).group_by(pl.col("happened_at").dt.date()):
        file = folder / "events" / f"day={day}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        rows.write_parquet(file)
    people = pl.DataFrame({"id": [c.number for c in company.customers], "joined": [c.signed_up.date() for c in company.customers], "seats": [c.seats for c in company.customers]})  # fmt: skip
    people.write_parquet(folder / "people.parquet")
    kept = [a for a in company.events if a.at < UNTIL]
    return Layout(
        {
            "customers": (
                ("customer_id", "signed_up_s", "seats"),
                [(str(c.number), day_s(c.signed_up), float(c.seats)) for c in company.customers],
            ),
            "events": (EVENTS, [(str(a.customer), a.word, second(a.at)) for a in kept]),
        },
        {"source.events.format": "parquet", "source.customers.columns": {"customer_id": "id", "signed_up": "joined"}},
        until=UNTIL,
    )


def contracts(folder: Path, company: Company) -> Layout:
    """A table of subscriptions, each with its start and its end; nothing else is known."""
    rows: Rows = [
        (c.number, f"{c.signed_up:%Y-%m-%d}", f"{c.left:%Y-%m-%d}" if c.left else "", c.plan, c.seats, "ended" if c.left else "active")
        for c in company.customers
    ]  # fmt: skip
    head = ("subscriber_id", "start_date", "end_date", "plan", "seats", "status")
    write(folder / "subscriptions.csv", text([head, *rows]))
    return Layout(
        {
            "customers": (
                (*CUSTOMERS, "seats"),
                [(str(c.number), day_s(c.signed_up), c.plan, float(c.seats)) for c in company.customers],
            ),
            "events": (
                EVENTS,
                [
                    *((str(c.number), "started", day_s(c.signed_up)) for c in company.customers),
                    *((str(c.number), "cancelled", day_s(c.left)) for c in company.customers if c.left is not None),
                ],
            ),
        },
        {
            "source.events.event_times": {"started": "start_date", "cancelled": "end_date"},
            "label.kind": "event",
            "events.roles.cancelled": ["cancelled"],
        },
        left_out=["status"],
    )


def monthly(folder: Path, company: Company) -> Layout:
    """A row a customer and month with its sums: each counts as happened when the month is over."""
    sums: dict[tuple[int, str], list[int]] = {}
    for a in company.payments:
        sums.setdefault((a.customer, f"{a.at:%Y-%m}"), [0, 0])[0] += a.cents
    for a in company.events:
        sums.setdefault((a.customer, f"{a.at:%Y-%m}"), [0, 0])[1] += 1
    rows: Rows = [(number, month, f"{cents / 100:.2f}", acts) for (number, month), (cents, acts) in sums.items()]
    write(folder / "monthly_revenue.csv", text([("customer_id", "month", "revenue", "logins"), *rows]))

    def last_second(month: str) -> int:
        first = datetime.strptime(f"{month}-01+0000", "%Y-%m-%d%z")
        return second((first + timedelta(days=32)).replace(day=1)) - 1

    expected = [(str(number), cents, "settled", last_second(month)) for (number, month), (cents, _) in sums.items()]
    return Layout(
        {"payments": (PAYMENTS, expected)},
        {"source.payments.aggregated_by": "month", "source.payments.time_format": "%Y-%m"},
        left_out=["logins"],
        asks=["sums up"],
    )


LAYOUTS: dict[str, Callable[[Path, Company], Layout]] = {
    function.__name__: function
    for function in (
        wide, long, german, american, zeros, payload, refunds, unlabelled, no_id, epoch, excel, by_day, contracts,
        monthly,
    )
}  # fmt: skip
