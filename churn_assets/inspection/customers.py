"""Maps the table of customers, of a history or of data without time.

Belongs here: id, sign-up, versions of a record, the label. Does not belong here: attributes (``attributes``), and activity (``activity``).
"""

import re

from churn_assets.inspection import names
from churn_assets.inspection.attributes import map_attributes
from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.label_guess import guess_label
from churn_assets.inspection.time_forms import ENOUGH
from churn_assets.inspection.times import CHANGED, VERSION, form_of, map_others, set_form
from churn_store.errors import InputError
from churn_store.mapping.settings import NO_ID
from churn_store.redaction import shown_names


def map_labelled(draft: Draft, profile: TableProfile, table: TableDraft, owner: str | None) -> None:
    """Fill the section of customers of data without time.

    Raises:
        InputError: if no column says who left.
    """
    guess = guess_label(profile)
    if guess is None:
        raise InputError(
            f"{profile.table.name} has no column that says who left, and no rows with a time: nothing can be learned from it. Expected a column of "
            "two words, such as Yes and No, called like churn; or events or payments beside it. It has "
            f"{shown_names(list(profile.columns))}"
        )
    if owner is None:
        table.columns["customer_id"] = NO_ID
        table.why["customer_id"] = "no column has an id of its own in each row: ids are digests of the attributes"
    else:
        table.columns["customer_id"] = owner
    table.label = guess.section
    named = "" if not guess.unlabelled else f", {guess.unlabelled:,} rows without a label"
    table.why["label"] = f"{guess.rate:.1%} churned of {profile.height - guess.unlabelled:,}{named}"
    for doubt in guess.doubts:
        draft.ask(
            f"{profile.table.name}: the label is guessed to be {guess.column} ({guess.rate:.1%} churned); {doubt}",
            f"source.customers.label: {{column: {guess.column}, churned: {guess.stayed or '...'}, stayed: {guess.churned}}}",
        )
    map_attributes(draft, profile, table, besides={guess.column, *([owner] if owner else [])}, has_time=False)


def map_customers(draft: Draft, profile: TableProfile, table: TableDraft, owner: str) -> bool:
    """Fill the section of customers of a history.

    Returns:
        Whether it could be: without a time of sign-up, customers are derived from what they did.
    """
    table.columns["customer_id"] = owner
    signed_up = _signed_up(profile)
    if signed_up is None:
        draft.unused[profile.table.name] = (
            "it has no time at which each customer signed up, which a history needs of a customer"
        )
        draft.ask(
            f"{profile.table.name}: no column says when a customer signed up, so the table is not used, and customers begin with their first row",
            "source.customers: add the table with a column for `signed_up`",
        )
        return False
    table.columns["signed_up"] = signed_up.name
    set_form(draft, profile, table, "customers", signed_up)
    free = [column for column in profile.times if column is not signed_up]
    has_versions = profile.columns[owner].distinct < ENOUGH * profile.columns[owner].filled
    others = [*((("occurred", VERSION),) if has_versions else ()), ("known", names.KNOWN)]
    map_others(table, free, others, form_of(signed_up))
    if has_versions and "occurred" not in table.columns:
        map_others(table, free, [("occurred", CHANGED)], form_of(signed_up))
    map_attributes(draft, profile, table, besides=set(table.columns.values()), has_time=True)
    if table.attributes and "occurred" not in table.columns and "known" not in table.columns:
        listed = ", ".join(list(table.attributes)[:4])
        draft.ask(
            f"{profile.table.name}: nothing says since when {listed} are as they are; today's values are taken for those of all earlier times",
            "source.customers.columns.occurred: <a column with the time from which on a row is true>",
        )
    return True


def _signed_up(profile: TableProfile) -> Column | None:
    times = [column for column in profile.times if column.filled >= ENOUGH * column.values.len() and not _is_birth(column)]
    named = [
        column
        for column in times
        if names.SIGNED_UP.search(column.plain)
        and not names.ENDED.search(column.plain)
        and not names.KNOWN.search(column.plain)
    ]
    if named:
        strong = [
            column for column in named if re.search(r"sign|regist|join|alta|anmeld|inscri|iscri|since|seit", column.plain)
        ]
        return (strong or named)[0]
    others = [
        column
        for column in times
        if not any(pattern.search(column.plain) for pattern in (names.ENDED, names.KNOWN, names.DUE, CHANGED, VERSION))
    ]
    return others[0] if len(others) == 1 else None


def _is_birth(column: Column) -> bool:
    return re.search(r"birth|_dob_|gebur|nacimiento|naissance|nascita|geboorte|urodz|nascimento", column.plain) is not None
