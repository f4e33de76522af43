"""Quarantine: rows that break their table's contract are set aside with the rule and the value; the others are ingested.

Belongs here: which arrived rows are kept, how many may be set aside, and a period's measures of quality. Does not belong here:
the contracts (``contracts``) and which rows arrive (``arrivals``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import SHOWN, rows_as_json, sift
from churn_assets.orchestration.table_writer import Outcome
from churn_assets.periods import day_of
from churn_assets.raw.delivery import Arrived
from churn_assets.settings.raw import Raw
from churn_assets.tables import LABEL
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS, OPTIONAL, PERSON, QUARANTINE, WHERE_MAPPED, Table
from churn_store.redaction import shown

MAY_BE_EMPTY: tuple[Table, ...] = ("customers", "treatments")
"""Tables of which no row has to arrive in a period: nobody has to sign up, and not every period has a campaign."""

RULES_SHOWN = 20
"""The number of broken rules that are listed for a period."""

SHARE, EMPTY = "quarantine_share", "not_empty"
"""Names of the checks."""


@dataclass(frozen=True)
class Parted:
    """The rows that arrived in a period, split by the contract.

    Attributes:
        kept: rows that keep the contract.
        set_aside: all other rows, in the columns of ``QUARANTINE``.
        dateless: number of rows set aside whose time can't be read, so that they may belong to any period.
    """

    kept: pl.DataFrame
    set_aside: pl.DataFrame
    dateless: int

    @property
    def rows(self) -> int:
        """The number of rows that arrived."""
        return self.kept.height + self.set_aside.height

    @property
    def share(self) -> float:
        """The share of rows set aside, among the rows with a time."""
        return (self.set_aside.height - self.dateless) / max(1, self.rows - self.dateless)


def parted(contract: pa.DataFrameSchema, arrived: Arrived, table: Table, *, has_time: bool) -> Parted:
    """Set aside the rows that break the contract, that can't be read, or that arrived before.

    Args:
        contract: contract of the table.
        arrived: rows that arrived.
        table: name of the table.
        has_time: whether rows have times.
    """
    sifted = sift(contract, arrived.delivery.rows)
    unreadable = arrived.delivery.unreadable.select(*QUARANTINE)
    repeated = [_came_before(arrived.again, table)] if arrived.again.height else []
    return Parted(
        sifted.kept,
        pl.concat([unreadable, sifted.set_aside, *repeated]),
        unreadable["known_s"].null_count() if has_time else 0,
    )


def _came_before(again: pl.DataFrame, table: Table) -> pl.DataFrame:
    key = ", ".join(KEYS[table])
    return again.select(
        pl.lit(f"one row a {key}, and another period has it").alias("rule"),
        pl.lit(key).alias("column"),
        pl.concat_str([pl.col(name).cast(pl.String) for name in KEYS[table]], separator="/").alias("value"),
        rows_as_json(again.columns).alias("row"),
        "known_s",
    )


def outcomes(found: Parted, table: Table, limit: Raw) -> Mapping[str, Outcome]:
    """The checks of a period: the share set aside, and whether any rows arrived at all."""
    summary = f"{found.set_aside.height} of {found.rows} rows were set aside"
    within = found.share <= limit.quarantine_limit
    worst = "; ".join(in_words(found.set_aside))
    empty_is_fine = found.rows == 0 and (table in MAY_BE_EMPTY or limit.empty_periods == "accept")
    some = found.kept.height > 0 or empty_is_fine
    return {
        SHARE: Outcome(
            within,
            summary
            + ("" if within else f", more than raw.quarantine_limit {limit.quarantine_limit:.1%} allows")
            + (f": {worst}" if worst else ""),
            {"set_aside": found.set_aside.height, "rows": found.rows, "share": found.share},
        ),
        EMPTY: Outcome(some, _how_many(found, table, fine=some), {"rows": found.rows, "kept": found.kept.height}),
    }


def unread_outcomes(reason: InputError, *, besides: Sequence[str] = ()) -> dict[str, Outcome]:
    """The outcomes of the checks for a period that can't be read.

    Args:
        reason: why it can't be read.
        besides: names of further checks of the table, which then have nothing to look at.
    """
    unseen = {name: Outcome(passed=True, found="nothing was read") for name in (SHARE, *besides)}
    return {**unseen, EMPTY: Outcome(passed=False, found=str(reason))}


def _how_many(found: Parted, table: Table, *, fine: bool) -> str:
    if fine:
        return f"{found.kept.height} rows were kept"
    if found.rows:
        return (
            f"all {found.rows} rows of {table} were set aside; expected some that are right. Mend the feed or the mapping"
        )
    return f"no {table} arrived in the period; expected some. Mend the feed, or set raw.empty_periods to accept"


def in_words(set_aside: pl.DataFrame) -> list[str]:
    """Each broken rule, most frequent first, with its number of rows and some values; never a value that names a person."""
    return [
        f"{column}: {rule} broken by {rows} rows" + (f"; found {', '.join(values)}" if values else "")
        for rule, column, rows, values in by_rule(set_aside)
    ]


def as_table(set_aside: pl.DataFrame) -> str:
    """The broken rules as a Markdown table."""
    lines = [
        f"| {column} | {rule} | {rows:,} | {', '.join(values)} |".replace("\n", " ")
        for rule, column, rows, values in by_rule(set_aside)
    ]
    return "\n".join(["| column | rule | rows | values |", "|---|---|---|---|", *lines])


def by_rule(set_aside: pl.DataFrame) -> list[tuple[str, str, int, list[str]]]:
    """Each broken rule: rule, column, number of rows, and some values; never a value that names a person."""
    counted = (
        set_aside.group_by("rule", "column")
        .agg(pl.len().alias("rows"), pl.col("value").drop_nulls().unique().sort().head(SHOWN).alias("values"))
        .sort("rows", "rule", "column", descending=[True, False, False])
        .head(RULES_SHOWN)
    )
    return [
        (rule, column, rows, [] if PERSON in column else [shown(value) for value in values])
        for rule, column, rows, values in counted.iter_rows()
    ]


def quality(found: Parted, table: Table, *, end_s: int | None) -> dict[str, Any]:
    """Completeness, lateness and freshness of a period's rows.

    Args:
        found: rows that arrived.
        table: name of the table.
        end_s: first second after the period; `None` where the data has no time.

    Returns:
        ``completeness`` (share of the arrived values that are present and were kept), ``late_share`` (share of rows known more than a
        day after they happened), ``delay_p99_hours``, ``newest_hours_before_end`` (hours between the arrival of the newest row and the
        period's end), ``oldest_day``. The measures of time are missing where there are no rows.
    """
    # A missing label is none of the values that should be there: today's customers have none.
    optional = {*OPTIONAL[table], *WHERE_MAPPED[table], LABEL}
    wanted = [name for name in found.kept.columns if name not in optional]
    filled = sum(found.kept[name].len() - found.kept[name].null_count() for name in wanted)
    measures: dict[str, Any] = {
        "set_aside": found.set_aside.height,
        "set_aside_share": found.share,
        "completeness": filled / max(1, found.rows * len(wanted)),
    }
    if end_s is None or found.kept.height == 0:
        return measures
    delay = (pl.col("known_s") - pl.col("occurred_s")).alias("delay")
    measured = found.kept.select(
        (delay > DAY_S).mean().alias("late"),
        delay.quantile(0.99).alias("p99"),
        pl.col("known_s").max().alias("newest"),
        pl.col("occurred_s").min().alias("oldest"),
    ).row(0, named=True)
    return measures | {
        "late_share": measured["late"],
        "delay_p99_hours": measured["p99"] / 3600,
        "newest_hours_before_end": (end_s - measured["newest"]) / 3600,
        "oldest_day": day_of(measured["oldest"]).isoformat(),
    }
