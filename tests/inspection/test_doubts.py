"""`churn init` where a file could be read in two ways: what is not sure is asked, and nothing is read that was not named."""

import datetime as dt
from pathlib import Path
from random import Random
from typing import Any

import pytest

from churn_assets.cli.init import run_init
from churn_store.errors import InputError
from churn_store.yaml_words import load
from tests.inspection.layouts import text, write

DAY = dt.timedelta(days=1)
FIRST = dt.date(2023, 1, 1)


def written(folder: Path) -> tuple[dict[str, Any], str]:
    """The source of the churn.yaml that was written for a folder of data, and all of its text."""
    run_init((str(folder),), folder.parent / "company")
    said = (folder.parent / "company" / "churn.yaml").read_text(encoding="utf-8")
    return load(said)["source"], said


def visits(customers: int, seed: int = 1) -> list[tuple[object, ...]]:
    draw = Random(seed)  # noqa: S311
    return [(f"c{number}", "visit", FIRST + DAY * draw.randrange(0, 500)) for number in range(customers) for _ in range(30)]


def test_the_files_of_another_company_beside_it_are_not_read(tmp_path: Path) -> None:
    """The folders differ in a digit as the names of parts do."""
    for company, prefix in (("acme7", "c"), ("acme9", "x")):
        for part in range(3):
            rows = [(f"{prefix}{row[0]}", *row[1:]) for row in visits(40, seed=part)]
            write(
                tmp_path / company / "raw" / f"events_2024-0{part + 1}.csv",
                text([("customer_id", "event_type", "at"), *rows]),
            )
    source, _ = written(tmp_path / "acme7")
    assert source["events"]["path"] == "../acme7/raw/events_*.csv"


def test_a_part_that_was_not_named_is_not_read(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / "data" / f"events_{part}.csv", text([("customer_id", "event_type", "at"), *visits(40, seed=part)]))
    named = tuple(str(tmp_path / "data" / f"events_{part}.csv") for part in range(2))
    with pytest.raises(InputError, match="no pattern matches them alone"):
        run_init(named, tmp_path / "company")


def contracts(*, renewed: bool, planned: bool) -> list[tuple[object, ...]]:
    """Contracts of a year; a customer may have several, one after the other."""
    draw = Random(3)  # noqa: S311
    rows: list[tuple[object, ...]] = []
    for number in range(300):
        begun = FIRST + DAY * draw.randrange(0, 300)
        for _ in range(2 if renewed else 1):
            ended = begun + DAY * draw.randrange(60, 400)
            is_over = renewed or planned or number % 3 == 0
            rows.append(
                (f"c{number}", begun, ended if is_over and (ended < dt.date(2024, 12, 1) or planned) else "", "basic", 9.9)
            )
            begun = ended
    return rows


@pytest.mark.parametrize(
    ("renewed", "planned", "asked"),
    [
        (True, False, "another row of the customer begins within 30 days: contracts are renewed"),
        (False, True, "every row has one: it may be the end that is planned, or paid for"),
        (False, False, ""),
    ],
)
def test_the_end_of_a_contract_is_that_of_a_customer_only_where_nothing_speaks_against_it(
    tmp_path: Path, *, renewed: bool, planned: bool, asked: str
) -> None:
    head = ("customer_id", "start_date", "end_date", "plan", "monthly_fee")
    write(tmp_path / "data" / "contracts.csv", text([head, *contracts(renewed=renewed, planned=planned)]))
    source, said = written(tmp_path / "data")
    assert source["events"]["event_times"] == (
        {"started": "start_date"} if asked else {"started": "start_date", "cancelled": "end_date"}
    )
    one_line = " ".join(said.replace("#", " ").split())
    assert asked in one_line
    assert ("cancelled: end_date" in said) is True, "mapped, or as the line to change"


def test_a_figure_of_today_is_no_attribute_of_an_earlier_time(tmp_path: Path) -> None:
    head = ("customer_id", "signed_up", "plan", "total_orders", "days_since_last_order", "seats")
    rows = [(f"c{number}", FIRST, ("a", "b")[number % 2], number % 30, number % 9, number % 5) for number in range(60)]
    write(tmp_path / "data" / "customers.csv", text([head, *rows]))
    write(tmp_path / "data" / "events.csv", text([("customer_id", "event_type", "at"), *visits(60)]))
    source, said = written(tmp_path / "data")
    assert set(source["customers"]["attributes"]) == {"plan", "seats"}
    assert said.count("a figure of today, which tells what happened since") == 2


def test_a_label_in_each_row_of_a_history_is_asked(tmp_path: Path) -> None:
    head = ("customer_id", "event_type", "at", "churned")
    rows = [(*row, int(number % 9 == 0)) for number, row in enumerate(visits(60))]
    write(tmp_path / "data" / "panel.csv", text([head, *rows]))
    _, said = written(tmp_path / "data")
    assert "churned looks like a label in each row" in " ".join(said.replace("#", " ").split())


def test_where_nothing_can_be_told_the_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data" / "users.csv", text([("user_id", "seats"), *((number, number % 7) for number in range(60))]))
    write(tmp_path / "data" / "events.jsonl", '{"user": 1}\n')
    with pytest.raises(InputError, match=r"Beside them .*events\.jsonl: it is not read"):
        run_init((str(tmp_path / "data"),), tmp_path / "company")


@pytest.mark.parametrize(("form", "expected"), [("%m/%Y", "%m/%Y"), ("%b %Y", "%b %Y")])
def test_months_of_other_writings_are_months(tmp_path: Path, form: str, expected: str) -> None:
    months = [dt.date(2023 + month // 12, month % 12 + 1, 1) for month in range(20)]
    rows = [(f"c{number}", month.strftime(form), 10 + number % 7) for number in range(40) for month in months]
    write(tmp_path / "data" / "monthly_revenue.csv", text([("customer_id", "month", "revenue"), *rows]))
    source, _ = written(tmp_path / "data")
    described = source["payments"]
    assert (described["time_format"], described["aggregated_by"]) == (expected, "month")


def test_files_whose_names_may_say_who_left_are_one_table_and_a_question(tmp_path: Path) -> None:
    head = ("customer_id", "signed_up", "plan", "seats", "region")
    for name, of in (("active", range(0, 40)), ("churned", range(40, 60))):
        rows = [(f"c{number}", FIRST, ("a", "b")[number % 2], number % 5, "north") for number in of]
        write(tmp_path / "data" / f"customers_{name}.csv", text([head, *rows]))
    write(tmp_path / "data" / "events.csv", text([("customer_id", "event_type", "at"), *visits(60)]))
    source, said = written(tmp_path / "data")
    assert source["customers"]["path"] == "../data/customers_*.csv"
    assert "customers_active.csv, customers_churned.csv have the same columns" in " ".join(said.replace("#", " ").split())
