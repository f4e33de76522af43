"""Turns the text of a table into the canonical columns.

Belongs here: which canonical column is made of which mapped one. Does not belong here: how times and numbers are written
(``times``, ``numbers``), and which values are allowed in a canonical table (``contracts``).
"""

from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.ids import customer_ids, ids_of_attributes
from churn_store.mapping.labels import labels
from churn_store.mapping.money import REFUNDED, in_one_currency, refunded_cents, with_refunds
from churn_store.mapping.numbers import cents, missing_advice, numbers, values
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.surrogate_keys import DIGESTED, own_id, with_row_ids
from churn_store.mapping.tables import LATEST_S, OPTIONAL, SCHEMAS, VALUE, WHERE_MAPPED, Delivery, Table
from churn_store.mapping.text import MappedText, translated
from churn_store.mapping.times import YEAR_2100_S, at_end_of, epoch_seconds
from churn_store.mapping.treatments import treatment_columns


@dataclass(frozen=True)
class Rules:
    """The rules for values that hold for the whole platform.

    Attributes:
        limit: largest share of a table's rows that may be set aside because they can't be read.
        now_s: current time; later dates have not happened yet.
    """

    limit: float = 0.02
    now_s: int = YEAR_2100_S


def labelled(text: MappedText, description: MappedTable, *, where: str, rules: Rules) -> Delivery:
    """Data without time: ``customer_id``, the attributes, ``churned``; that is null for today's customers, who have no label.

    Raises:
        InputError: if too many numbers can't be read, or labels are none of the words that ``label`` names.
    """
    label = description.label
    if label is None:
        raise InputError(f"{where}: no `label`; name the column that says who churned")
    readability = Readability(text, where=where, limit=rules.limit, person=description.columns["customer_id"])
    attributes = attributes_of(text, description, readability)
    churned = labels(text, description, label, readability)
    whole = pl.DataFrame(
        {
            "customer_id": customer_ids(text, description, readability)
            if description.has_ids
            else ids_of_attributes(pl.DataFrame(attributes)),
            **attributes,
            "churned": churned,
        }
    )
    good = readability.readable()
    return Delivery(whole.filter(good), readability.set_aside(_absent(text, pl.Int64)), _notes(text, readability))


def canonical(table: Table, text: MappedText, description: MappedTable, *, where: str, rules: Rules) -> Delivery:
    """A table of a history in its canonical columns, in the order of its values.

    A row counts as known when it had happened, if its source says an earlier time: until then it is a plan.

    Raises:
        InputError: if too many times, amounts or numbers can't be read, or the times can't be what is meant.
    """
    if description.event_times:
        return _events_of_times(text, description, where=where, rules=rules)
    mapped = description.columns
    if table == "payments":
        text = in_one_currency(text, description, where=where)
    readability = Readability(text, where=where, limit=rules.limit, person=mapped["customer_id"])

    def time(name: str, *, optional: bool = False) -> pl.Series:
        return epoch_seconds(
            text,
            mapped[name],
            description,
            readability,
            where=where,
            now_s=rules.now_s,
            optional=optional,
            may_be_ahead=optional,
        )

    whole = {"customer_id": customer_ids(text, description, readability)}
    if table == "customers":
        whole["signed_up_s"] = time("signed_up")
        whole["occurred_s"] = time("occurred") if "occurred" in mapped else whole["signed_up_s"]
        whole |= attributes_of(text, description, readability)
    else:
        whole["occurred_s"] = at_end_of(description.aggregated_by, time("occurred"))
    if table == "events":
        whole |= _kind_and_value(text, description, readability)
    if table == "treatments":
        whole |= treatment_columns(text, description, readability)
    if table == "payments":
        whole["due_s"] = time("due", optional=True) if "due" in mapped else _absent(text, pl.Int64)
        whole |= _money(text, description, readability)
    known_s = time("known") if "known" in mapped else whole["occurred_s"]
    happened = pl.select(pl.max_horizontal(known_s, whole["occurred_s"])).to_series()
    whole["known_s"] = happened.zip_with(known_s.is_not_null(), _absent(text, pl.Int64))
    if table == "customers" and "known" in mapped and "occurred" not in mapped:
        # A record that was changed is a version that is true from when it was heard of; of the time before, it tells nothing.
        whole["occurred_s"] = whole["known_s"]
    good = readability.readable()
    rows = pl.DataFrame(whole).filter(good)
    if table in DIGESTED:
        key = own_id(table)
        if key in mapped:
            rows = rows.with_columns(text.words(mapped[key]).filter(good).alias(key))
        if table == "payments":
            rows = with_refunds(rows, key=key if key in mapped else None)
        if key not in mapped:
            rows = with_row_ids(rows, table)
    order = [*SCHEMAS[table], *(name for name in WHERE_MAPPED[table] if name in rows.columns), *description.attributes]
    return Delivery(rows.select(order).sort(order), readability.set_aside(whole["known_s"]), _notes(text, readability))


def _money(text: MappedText, description: MappedTable, readability: Readability) -> dict[str, pl.Series]:
    """What payments have besides their times: amount, status, list price, and what was paid back."""
    mapped = description.columns
    amount_cents = cents(text, mapped["amount"], description, readability)
    columns = {
        "amount_cents": amount_cents,
        "status": _words(text, "status", description),
        "list_cents": cents(text, mapped["list_price"], description, readability)
        if "list_price" in mapped
        else _absent(text, pl.Int64),
    }
    if "refunded" in mapped:
        columns[REFUNDED] = refunded_cents(text, mapped["refunded"], amount_cents, description, readability)
    if description.currency is not None and description.currency.keep is not None:
        column = description.currency.column
        readability.require(column, text.rows[column].is_not_null(), "a currency like EUR")
    return columns


def _events_of_times(text: MappedText, description: MappedTable, *, where: str, rules: Rules) -> Delivery:
    """An event of each type whose time is there; a time that lies ahead is a plan, however many are."""
    delivered = []
    for number, (word, column) in enumerate(description.event_times.items()):
        single = description.model_copy(
            update={
                "columns": {**description.columns, "occurred": column},
                "constants": {"event_type": word},
                "event_times": {},
            }
        )
        there = replace(text, rows=text.rows.filter(pl.col(column).str.strip_chars() != ""))
        if number:
            there = replace(there, ragged=text.ragged.clear(), notes=())  # each is told once
        delivered.append(canonical("events", there, single, where=where, rules=replace(rules, now_s=LATEST_S)))
    order = list(SCHEMAS["events"])
    return Delivery(
        pl.concat(delivery.rows for delivery in delivered).sort(order),
        pl.concat(delivery.unreadable for delivery in delivered),
        tuple(dict.fromkeys(note for delivery in delivered for note in delivery.notes)),
    )


def _notes(text: MappedText, readability: Readability) -> tuple[str, ...]:
    return (*text.notes, *readability.notes)


def optional_columns(description: MappedTable, table: Table) -> frozenset[str]:
    """Which optional columns of a table are mapped."""
    names = {"due_s": "due", "list_cents": "list_price", VALUE: "value", "propensity": "propensity"}
    return frozenset(column for column in (*OPTIONAL[table], *WHERE_MAPPED[table]) if names[column] in description.columns)


def attributes_of(text: MappedText, description: MappedTable, readability: Readability) -> dict[str, pl.Series]:
    """The attributes of a table of customers by name: numbers, and the words that the company wants."""
    for attribute in description.attributes.values():
        if attribute.kind == "category" and (advice := missing_advice(text.rows[attribute.column], description)):
            readability.note(f"column {attribute.column}: {advice}")
    return {
        name: numbers(text, attribute.column, description, readability)
        if attribute.kind == "number"
        else translated(text, attribute.column, description.values.get(name, {}))
        for name, attribute in description.attributes.items()
    }


def _kind_and_value(text: MappedText, description: MappedTable, readability: Readability) -> dict[str, pl.Series]:
    """The types of events, and their values where they are mapped."""
    kind = {"event_type": _words(text, "event_type", description)}
    column = description.columns.get("value")
    return kind if column is None else {**kind, VALUE: values(text, column, description, readability)}


def _words(text: MappedText, name: Literal["event_type", "status"], description: MappedTable) -> pl.Series:
    """A column of words; a payment without a status counts as settled."""
    if name in description.columns:
        return translated(text, description.columns[name], description.values.get(name, {}))
    word = description.constants.get(name, "settled")
    return pl.Series([word], dtype=pl.String).new_from_index(0, text.rows.height)


def _absent(text: MappedText, kind: type[pl.DataType]) -> pl.Series:
    return pl.Series([None], dtype=kind).new_from_index(0, text.rows.height)
