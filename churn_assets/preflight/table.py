"""Examines one table of a source: its content, the rows that would be set aside, the periods that would be refused.

Belongs here: findings from the rows of one table. Does not belong here: findings from several tables (``company``).
"""

import polars as pl

from churn_assets.periods import Calendar, day_of, epoch_s, text
from churn_assets.preflight.report import BrokenRule, Span, TableFindings
from churn_assets.preflight.status_words import note_of
from churn_assets.raw.contracts import labelled_contract, raw_contract
from churn_assets.raw.delivery import Arrived
from churn_assets.raw.quarantine import MAY_BE_EMPTY, Parted, by_rule, parted
from churn_assets.settings.raw import Raw
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import LABEL, Source
from churn_store.clock import DAY_S
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.tables import KEYS, OPTIONAL, Delivery, Table

CANONICAL_S = {"due_s": "due", "list_cents": "list_price"}
"""Optional columns of the lake, by their names in ``churn.yaml``."""

EVERY_MONTH = {"monthly": "1mo", "weekly": "1w", "daily": "1d"}
"""Polars' names for the cadences; its weeks begin on Monday as well."""

PERIODS_SHOWN = 5


def examine(
    source: Source,
    table: Table,
    delivery: Delivery,
    *,
    described: SourceSettings,
    timeline: Calendar | None,
    raw: Raw,
    now_s: int,
) -> tuple[TableFindings, pl.DataFrame]:
    """Examine the rows that a source delivers for a table.

    Args:
        source: source that delivered them.
        table: name of the table.
        delivery: all rows of the table.
        described: section ``source``.
        timeline: calendar of a history; `None` where the data has no time.
        raw: section ``raw``.
        now_s: time up to which rows count as known, in epoch seconds.

    Returns:
        The findings, and the rows that keep the contract.
    """
    has_time, mapping = timeline is not None, described.described(table)
    contract = (
        raw_contract(table, source.attributes, source.given(table)) if has_time else labelled_contract(source.attributes)
    )
    split = parted(contract, Arrived(delivery, delivery.rows.clear()), table, has_time=has_time)
    absent = set(OPTIONAL[table]) - source.given(table)
    key = [name for name in KEYS[table] if name in delivery.rows.columns]
    seen = TableFindings(
        table,
        rows=split.rows,
        key=tuple(key),
        repeated=int(delivery.rows.select(key).is_duplicated().sum()),
        mapped=mapped_columns(mapping),
        nulls={
            name: count
            for name in delivery.rows.columns
            if name not in (*absent, LABEL) and (count := delivery.rows[name].null_count())
        },
        set_aside=split.set_aside.height,
        share=split.set_aside.height / max(1, split.rows),
        broken=[
            BrokenRule(column, rule, rows, rows / max(1, split.rows), tuple(values))
            for rule, column, rows, values in by_rule(split.set_aside)
        ],
        notes=list(delivery.notes),
    )
    if "status" in delivery.rows.columns and (note := note_of(delivery.rows["status"])):
        seen.notes.append(note)
    if split.rows == 0 and table == "treatments":
        seen.notes.append("treatments has no rows: nobody counts as treated")
    elif split.rows == 0:
        seen.findings.append(
            f"{table} has no rows; expected some. Look at the path or query of source.{table} in churn.yaml"
        )
    if timeline is not None:
        _look_at_times(seen, timeline, raw, source.says_when_known(table), split, now_s=now_s)
        _name_what_is_missing(seen, mapping, source, table, is_mapped=described.kind != "synthetic")
    elif split.rows:
        seen.labels = LabelCounts.of(split.kept[LABEL])
        _judge_share(seen, "", split, raw.quarantine_limit)
    return seen, split.kept


def mapped_columns(described: MappedTable | None) -> dict[str, str]:
    """The columns of the source by canonical column; empty if the source needs no mapping or has no such table."""
    if described is None:
        return {}
    constants: dict[str, str] = {name: f"always {word!r}" for name, word in described.constants.items()}
    attributes = {name: attribute.column for name, attribute in described.attributes.items()}
    label = {} if described.label is None else {"churned": described.label.column}
    times = {"occurred": ", ".join(f"{column} ({word})" for word, column in described.event_times.items())}
    return {**described.columns, **(times if described.event_times else {}), **constants, **attributes, **label}


def _look_at_times(
    seen: TableFindings, calendar: Calendar, raw: Raw, says_when_known: bool, found: Parted, *, now_s: int
) -> None:
    rows = found.kept
    if rows.height:
        first, last, known, late = rows.select(
            pl.col("occurred_s").min().alias("first"),
            pl.col("occurred_s").max().alias("last"),
            pl.col("known_s").max().alias("known"),
            (pl.col("known_s") - pl.col("occurred_s") > DAY_S).mean().alias("late"),
        ).row(0)
        seen.span = Span(*(day_of(second).isoformat() for second in (first, last, known)))
        seen.late_share = late if says_when_known else None
        seen.future = rows.filter(pl.col("known_s") >= now_s).height
    if seen.future:
        seen.notes.append(
            f"{seen.future:,} {'row lies' if seen.future == 1 else 'rows lie'} in the future, after the clock's time "
            f"({day_of(now_s)}); {'it waits' if seen.future == 1 else 'they wait'} for the period to come"
        )
    before_s = epoch_s(calendar.first)
    if earlier := rows.filter(pl.col("known_s") < before_s).height:
        seen.notes.append(
            f"{earlier:,} rows are from before source.start ({calendar.start}); they come with the first period"
        )
    if found.rows == 0:
        return
    kept, aside = (_by_period(frame, calendar, now_s=now_s) for frame in (rows, found.set_aside))
    refused = {
        period: aside[period] / (aside[period] + kept.get(period, 0))
        for period in sorted(aside)
        if aside[period] / (aside[period] + kept.get(period, 0)) > raw.quarantine_limit
    }
    if refused:
        worst = max(refused, key=lambda period: refused[period])
        seen.findings.append(
            f"{seen.table}: {len(refused)} periods ({_some(list(refused))}) have a larger share of rows that would be set aside than "
            f"raw.quarantine_limit {raw.quarantine_limit:.1%} allows, {refused[worst]:.1%} in {worst}; they would be "
            f"refused. Mend the rows ({_most_frequent(seen)}), or raise the limit"
        )
    if seen.table in MAY_BE_EMPTY:
        return
    ended = [text(key) for key in calendar.complete(day_of(now_s))]
    seen.empty_periods = [period for period in ended if not kept.get(period) and not aside.get(period)]
    if seen.empty_periods:
        _judge_empty(seen, raw, ended, now_s=now_s)


def _judge_empty(seen: TableFindings, raw: Raw, ended: list[str], *, now_s: int) -> None:
    count = len(seen.empty_periods)
    message = f"{seen.table} has no rows in {count} of {len(ended)} periods that have ended ({_some(seen.empty_periods)})"
    if raw.empty_periods == "accept":
        seen.notes.append(message)
    elif seen.span is not None and seen.empty_periods[-1] == ended[-1] and seen.span.known < seen.empty_periods[0]:
        seen.findings.append(
            f"{message}: the newest row became known on {seen.span.known}, but by the clock it is {day_of(now_s)}; such "
            "periods would be refused. Bring newer rows, set the clock to the end of the data (`churn clock set`), or set "
            "raw.empty_periods to accept"
        )
    else:
        seen.findings.append(
            f"{message}; expected some in each, as such a period is taken for a broken feed and refused. Bring the rows, move "
            "source.start, or set raw.empty_periods to accept"
        )


def _by_period(rows: pl.DataFrame, calendar: Calendar, *, now_s: int) -> dict[str, int]:
    """The number of rows that arrived in each period that has begun; rows without a time are in none."""
    first = calendar.first
    period = pl.from_epoch(pl.col("known_s"), time_unit="s").dt.truncate(EVERY_MONTH[calendar.cadence]).dt.date()
    counted = (
        rows.filter(pl.col("known_s") < now_s)
        .select(pl.max_horizontal(period, pl.lit(first)).alias("period"))
        .group_by("period")
        .len()
    )
    return {text(key): count for key, count in counted.iter_rows()}


def _judge_share(seen: TableFindings, where: str, found: Parted, limit: float) -> None:
    if found.share > limit:
        seen.findings.append(
            f"{seen.table}{where}: {found.share:.1%} of the rows would be set aside, more than raw.quarantine_limit {limit:.1%} "
            f"allows; the table would be refused. Mend the rows ({_most_frequent(seen)}), or raise the limit"
        )


def _name_what_is_missing(
    seen: TableFindings, described: MappedTable | None, source: Source, table: Table, *, is_mapped: bool
) -> None:
    for name in OPTIONAL[table]:
        if name not in source.given(table):
            seen.missing[CANONICAL_S.get(name, name)] = (
                "labels in whose windows somebody was treated can't be judged"
                if table == "treatments"
                else "features that need it do not exist"
            )
    if not source.says_when_known(table):
        seen.missing["known"] = (
            "rows count as known when they happened, and rows that turn up after the first load as known at that load"
        )
    if described is None:
        if table == "customers" and is_mapped:
            seen.notes.append("customers are derived from what they did: signed up when they were first seen")
        return
    if table == "customers" and "occurred" not in seen.mapped:
        seen.missing["occurred"] = (
            "a record counts as true from when it became known; before that nothing is known of its customer"
            if "known" in seen.mapped
            else "attributes count as known since sign-up; a value of today is then seen at all earlier snapshots"
        )
    own = {"events": "event_id", "payments": "payment_id"}.get(table)
    if own is not None and own not in seen.mapped:
        seen.missing[own] = "the whole row is the key"
    if table == "payments" and "status" not in seen.mapped:
        seen.missing["status"] = "every payment counts as settled"
    if table == "payments" and "status" in described.columns and "known" not in described.columns:
        seen.notes.append(
            f"{described.columns['status']} tells the status of today, and nothing says when it became known: a status that changes "
            "later is not seen, and one of today is taken for known when the payment happened. Give a row for each change, with its "
            "own payment_id and time, if it ever changes"
        )


def _most_frequent(seen: TableFindings) -> str:
    worst = seen.broken[0]
    return f"most often {worst.column}: {worst.rule}" + (f", found {', '.join(worst.values)}" if worst.values else "")


def _some(periods: list[str]) -> str:
    if len(periods) <= PERIODS_SHOWN:
        return ", ".join(periods)
    return f"{periods[0]}, {periods[1]}, ... {periods[-1]}"
