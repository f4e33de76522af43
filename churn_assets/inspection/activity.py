"""Maps the tables of events and of payments.

Belongs here: which column is the time, the type, the amount, the status. Does not belong here: whose rows they are (``ids``), and what
churn is in a history (``history``).
"""

import re
from typing import cast

import polars as pl

from churn_assets.inspection import names
from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.ids import named
from churn_assets.inspection.label_guess import guess_label
from churn_assets.inspection.series import least, most
from churn_assets.inspection.time_forms import ENOUGH
from churn_assets.inspection.times import form_of, is_written_alike, map_others, map_times, seconds_of, set_form
from churn_assets.inspection.words import currency_of, status_of
from churn_store.clock import DAY_S

SURE_TYPE = re.compile(r"_event_?(type|name|kind)_|_(ereignis|evento|evenement)_?(typ|art|tipo|type)?_")
MOST_TYPES = 200
FEW_TYPES = 40
RENEWED_DAYS = 30
"""A row that begins so soon after another one of its customer renews it."""

FEW_RENEWALS = 0.05
"""Up to this share of ends, customers come back rather than renew."""

LEAST_CENTS = 100
"""Whole amounts that are all as large as this are rather cents."""


def amount_column(profile: TableProfile, owner: Column | None = None) -> Column | None:
    """The column with the amounts of payments; ``None`` if there is none."""
    scored = [(score, column) for column in profile.numbers if column is not owner and (score := _amount_score(column)) > 0]
    return max(scored, key=lambda found: found[0])[1] if scored else None


def _amount_score(column: Column) -> float:
    if column.typed and column.is_truth:
        return 0.0
    # Of a total without taxes or a list price as well, the plain amount is the payment.
    bad = (
        names.NO_AMOUNT.search(column.plain) or names.REFUNDED.search(column.plain) or names.LIST_PRICE.search(column.plain)
    )
    if bad or named(column) > 1 or names.ROW_ID.search(column.plain):
        return 0.0
    score = 3.0 if names.BEST_AMOUNT.search(column.plain) else 2.0 if names.AMOUNT.search(column.plain) else 0.0
    return score + (0.5 if score and not column.is_whole else 0)


def type_column(profile: TableProfile, owner: Column | None = None) -> Column | None:
    """The column with the types of events; ``None`` if there is none."""
    scored = []
    for column in profile.columns.values():
        few = 1 <= column.distinct <= min(MOST_TYPES, max(12, profile.height // 20))
        if (
            column is owner
            or column.time is not None
            or column.is_truth
            or not few
            or column.filled < 0.98 * profile.height
        ):
            continue
        if column.is_number or names.STATUS.search(column.plain) or names.PAYLOAD.search(column.plain):
            continue
        lengths = column.values.drop_nulls().unique().str.len_chars()
        if (lengths.max() or 0) > 60:  # type: ignore[operator] # noqa: PLR2004 - a type is a word or two
            continue
        exact = SURE_TYPE.search(column.plain)
        score = (
            4.0
            if exact
            else 2.0
            if names.EVENT_TYPE.search(column.plain)
            else 0.5
            if 1 < column.distinct <= FEW_TYPES
            else 0.0
        )
        if score:
            scored.append((score, column.distinct, column))
    return max(scored, key=lambda found: found[:2])[2] if scored else None


def times_of_row(profile: TableProfile) -> dict[str, Column]:
    """What a row with several times tells of: when something began, and when it ended; empty where it is not of that kind."""
    begun = [
        column for column in profile.times if names.SIGNED_UP.search(column.plain) and not names.ENDED.search(column.plain)
    ]
    ended = [column for column in profile.times if names.ENDED.search(column.plain) and not names.DUE.search(column.plain)]
    # Of an end that is planned and one that came, the second is missing where a contract runs on.
    return {"started": begun[0], "ended": min(ended, key=lambda column: column.filled)} if begun and ended else {}


def map_payments(draft: Draft, profile: TableProfile, table: TableDraft, owner: str) -> None:
    """Fill the section of payments."""
    table.columns["customer_id"] = owner
    own = profile.columns[owner]
    amount = amount_column(profile, own)
    if amount is None:
        raise AssertionError("a table of payments has amounts")
    table.columns["amount"] = amount.name
    _row_id(profile, table, "payment_id")
    map_times(draft, profile, table, "payments")
    _money(draft, profile, table, amount)
    status = status_of(profile, draft, besides={*table.columns.values()})
    if status is not None:
        table.columns["status"] = status.column
        if status.values:
            table.described.setdefault("values", {})["status"] = dict(status.values)
        table.why["status"] = status.why
    currency_of(draft, profile, table)
    _unmapped(profile, table)


def map_events(draft: Draft, profile: TableProfile, table: TableDraft, owner: str) -> None:
    """Fill the section of events."""
    table.columns["customer_id"] = owner
    if _is_contract(profile):
        _map_contract(draft, profile, table)
        return
    _row_id(profile, table, "event_id")
    kind = type_column(profile, profile.columns[owner])
    if kind is not None:
        table.columns["event_type"] = kind.name
    else:
        word = profile.plain.strip("_").rpartition("_")[2].removesuffix("s") or "event"
        table.described["constants"] = {"event_type": word}
        table.why["constants"] = "no column tells the type, so all events have this one"
    map_times(draft, profile, table, "events")
    if (guess := guess_label(profile)) is not None and guess.is_sure:
        draft.ask(
            f"{profile.table.name}: {guess.column} looks like a label in each row ({guess.rate:.1%} {guess.churned}), and is not read: a history's "
            "label is made from what customers do. If each row is a customer's last, one table with a label may be what it is",
            f"source: {{shape: table, customers: {{label: {{column: {guess.column}}}}}}}",
        )
    _unmapped(profile, table)


def _is_contract(profile: TableProfile) -> bool:
    """Whether a row tells of something that began and may have ended, such as a contract, rather than of a single act."""
    has_types = any(SURE_TYPE.search(column.plain) for column in profile.columns.values())
    return bool(times_of_row(profile)) and not has_types and not names.EVENTS_TABLE.search(profile.plain)


def _map_contract(draft: Draft, profile: TableProfile, table: TableDraft) -> None:
    """A contract is an event when it begins, and one when it ends."""
    begun, ended = times_of_row(profile).values()
    table.described["event_times"] = {"started": begun.name}
    table.why["event_times"] = "a row tells when a contract began and when it ended"
    set_form(draft, profile, table, "events", begun)
    if not is_written_alike(ended, form_of(begun)):
        table.left_out[ended.name] = "it is written in another format than the other times of the table"
    elif doubt := _why_no_end(profile, begun, ended, table.columns["customer_id"]):
        table.left_out[ended.name] = doubt
        draft.ask(
            f"{profile.table.name}: {ended.name} is not taken for the time at which a customer leaves, as {doubt}",
            f"source.events.event_times: {{started: {begun.name}, cancelled: {ended.name}}}",
        )
    else:
        table.described["event_times"]["cancelled"] = ended.name
    taken = [begun, ended]
    map_others(table, [time for time in profile.times if time not in taken], [("known", names.KNOWN)], form_of(begun))
    _unmapped(profile, table)


def _why_no_end(profile: TableProfile, begun: Column, ended: Column, owner: str) -> str:
    """Why the ends of contracts are not those of customers; empty if they are."""
    if ended.filled >= ENOUGH * profile.height:
        return "every row has one: it may be the end that is planned, or paid for"
    rows = pl.DataFrame(
        {
            "owner": profile.columns[owner].values,
            "begun_s": seconds_of(profile, begun),
            "ended_s": seconds_of(profile, ended),
        }
    )
    ends = rows.drop_nulls("ended_s").with_columns(pl.col("ended_s") - DAY_S)
    starts = rows.select("owner", next_s="begun_s").drop_nulls().sort("next_s")
    followed = ends.sort("ended_s").join_asof(starts, left_on="ended_s", right_on="next_s", by="owner", strategy="forward")
    renewed = (followed["next_s"] - followed["ended_s"] <= RENEWED_DAYS * DAY_S).fill_null(value=False).mean()
    if isinstance(renewed, float) and renewed > FEW_RENEWALS:
        return f"after {renewed:.0%} of the ends another row of the customer begins within {RENEWED_DAYS} days: contracts are renewed"
    return ""


def _row_id(profile: TableProfile, table: TableDraft, key: str) -> None:
    """The id of a row, where each row has its own; without it the whole row is the key."""
    for pattern in (names.ROW_ID, names.ANY_ID):
        for column in profile.columns.values():
            if (
                column.name not in table.columns.values()
                and column.is_unique
                and column.time is None
                and pattern.search(column.plain)
            ):
                table.columns[key] = column.name
                return


def _money(draft: Draft, profile: TableProfile, table: TableDraft, amount: Column) -> None:
    for column in profile.columns.values():
        if column.name in table.columns.values() or column.time is not None:
            continue
        if "list_price" not in table.columns and column.is_number and names.LIST_PRICE.search(column.plain):
            table.columns["list_price"] = column.name
        elif (
            "refunded" not in table.columns
            and names.REFUNDED.search(column.plain)
            and (column.is_number or column.is_truth or _is_yes_or_no(column))
        ):
            table.columns["refunded"] = column.name
            table.why["refunded"] = "how much was paid back, or whether it was"
    there = amount.numbers.drop_nulls().abs()
    if not amount.is_whole:
        return
    is_said = names.IN_CENTS.search(amount.plain) is not None
    if is_said or (least(there.filter(there > 0)) >= LEAST_CENTS and cast("float", there.median() or 0) >= 3 * LEAST_CENTS):
        table.described["amount_unit"] = "cents"
        table.why["amount_unit"] = "the column is called so" if is_said else "all amounts are whole and none is below 100"
        if not is_said:
            draft.ask(
                f"{profile.table.name}: all amounts in {amount.name} are whole, from {least(there):g} to {most(there):g}; taken for cents",
                "source.payments.amount_unit: units",
            )


def _is_yes_or_no(column: Column) -> bool:
    return set(map(str.lower, column.words(2))) <= names.YES | names.NO


def _unmapped(profile: TableProfile, table: TableDraft) -> None:
    """The columns that stay out, each with the reason."""
    mapped = {
        *table.columns.values(),
        *table.described.get("event_times", {}).values(),
        str((table.described.get("currency") or {}).get("column", "")),
    }
    for column in profile.columns.values():
        if column.name in mapped or column.name in table.left_out:
            continue
        if column.filled == 0:
            reason = "it is empty"
        elif column.time is not None:
            reason = "another time than that of the row"
        elif names.PAYLOAD.search(column.plain) or column.values.drop_nulls().str.starts_with("{").any():
            reason = "details of a row; no feature reads them"
        elif names.FREE_TEXT.search(column.plain):
            reason = "personal or free text"
        else:
            reason = "no feature reads it"
        table.left_out[column.name] = reason
