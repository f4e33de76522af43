"""Shares of rows: values that are missing, columns that have become constant, words never seen before, rows that repeat.

Belongs here: rules on how many rows have a property. Does not belong here: when rows came (``arrivals``), and units (``units``).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from churn_assets.quality.chance import RARE, too_many
from churn_assets.quality.fault import Fault
from churn_assets.quality.findings import CONSTANT, DUPLICATED, MISSING, NEW, NULLS
from churn_assets.quality.profile import ColumnProfile, Profile
from churn_assets.settings.quality import Quality

TOLD_MARGIN: Final = 0.02
"""How far a share of missing values may lie above the largest of earlier periods before it is reported."""

LEAST_PERIODS: Final = 3
"""Earlier periods with rows that a column needs; and they must be half of all."""

LEAST_EQUAL_ROWS: Final = 200
"""A period with fewer rows may say the same as another one by chance, as where the same few customers pay every month."""


def missing_values(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:
    """Columns of a raw table with far more missing values than in any earlier period."""
    for name, column, earlier in _columns(now, before):
        usual = max(one.null_share for one in earlier)
        for above, blocking in ((rules.margin, True), (min(TOLD_MARGIN, rules.margin), False)):
            if column.null_share > usual + above and too_many(column.nulls, column.rows, usual + above / 2):
                yield Fault(
                    NULLS,
                    f"{column.null_share:.1%} of {column.rows:,} rows have no {name}",
                    f"at most {min(1.0, usual + above):.1%}, as up to {usual:.1%} had none in {len(earlier)} earlier periods",
                    column=name,
                    blocking=blocking,
                )
                break


def missing_features(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:
    """Features that more customers lack than may, or than ever did."""
    for name, column, earlier in _columns(now, before):
        usual = max(one.null_share for one in earlier)
        limit = max(rules.missing_limit, usual + rules.margin)
        if column.null_share > limit and too_many(column.nulls, column.rows, usual + rules.margin / 2):
            yield Fault(
                MISSING,
                f"{column.null_share:.1%} of {column.rows:,} customers have no {name}",
                f"at most {limit:.1%}: quality.missing_limit, or {rules.margin:.0%} more than the {usual:.1%} of earlier snapshots",
                column=name,
            )


def constants(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:  # noqa: ARG001 - as all rules
    """Columns that have become constant: every value is the same, and chance does not explain it."""
    for name, column, earlier in _columns(now, before):
        present = column.rows - column.nulls
        if column.distinct != 1 or any(one.distinct <= 1 for one in earlier):
            continue
        most = max(one.most / (one.rows - one.nulls) for one in earlier)
        if most < 1 and present * math.log(most) < math.log(RARE):
            yield Fault(
                CONSTANT,
                f"all {present:,} values of {name} are the same",
                f"different ones, as in {len(earlier)} earlier periods",
                column=name,
            )


def new_categories(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:
    """Columns of words with words that no earlier period had."""
    for name, column, earlier in _columns(now, before):
        if not all(one.categories for one in earlier) or not column.distinct or column.logarithms:
            continue
        known = {word for one in earlier for word in one.categories}
        fresh = {word: one.rows for word, one in column.categories.items() if word not in known}
        # Of a column with too many words to count, each word that is not known has at least one row.
        words, rows = (
            (len(fresh), sum(fresh.values())) if column.categories else (_others := column.distinct - len(known), _others)
        )
        present = column.rows - column.nulls
        if rows <= 0:
            continue
        limit = rules.new_category_limit
        too_much = rows / present > limit and too_many(rows, present, limit / 2)
        yield Fault(
            NEW,
            f"{rows / present:.1%} of {present:,} rows have a {name} that no earlier period had ({words} new words)",
            f"at most {limit:.0%} (quality.new_category_limit)",
            column=name,
            blocking=too_much,
        )


def repeated_rows(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:
    """Rows that came twice with other ids, and a period that says what another one said."""
    usual = max(one.repeats / max(1, one.rows) for one in before)
    share = now.repeats / max(1, now.rows)
    if share > usual + rules.margin and too_many(now.repeats, now.rows, usual + rules.margin / 2):
        yield Fault(
            DUPLICATED,
            f"{share:.1%} of {now.rows:,} rows equal another one in everything but their id",
            f"at most {usual + rules.margin:.1%}, as up to {usual:.1%} did in {len(before)} earlier periods",
        )
    if now.rows < LEAST_EQUAL_ROWS or any(one.content == other.content for one, other in pairwise(before)):
        return  # where periods say the same as a rule, it is no sign
    if same := [one.period for one in before if one.content and one.content == now.content]:
        yield Fault(DUPLICATED, f"all {now.rows:,} rows say what those of {same[-1]} said", "rows of their own")


def _columns(now: Profile, before: Sequence[Profile]) -> Iterator[tuple[str, ColumnProfile, list[ColumnProfile]]]:
    """The columns that enough earlier periods had with rows, each with those: a period without rows says nothing, and a column may be younger."""
    for name, column in now.columns.items():
        earlier = [one.columns[name] for one in before if name in one.columns and one.columns[name].rows]
        if column.rows and len(earlier) >= max(LEAST_PERIODS, len(before) / 2):
            yield name, column, earlier
