"""The table ``quality_findings``: what was found in each judged period.

Belongs here: the kinds of findings, writing and reading them. Does not belong here: how they are found (``judge``), and what a period's
rows look like (``profile``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_store.monitoring.facts import QualityFinding

TABLE: Final = "quality_findings"

NULLS, MISSING, VANISHED, UNIT = "nulls", "missing_features", "vanished", "unit_changed"
DUPLICATED, ABSENT, LATE, CONSTANT = "duplicated", "missing_period", "late", "constant"
NEW, CONTRACT, UNKNOWN = "new_category", "contract", "unknown"
KINDS: Final = (NULLS, MISSING, VANISHED, UNIT, DUPLICATED, ABSENT, LATE, CONSTANT, NEW)
"""The kinds of faults that can be accepted."""

JUDGED: Final = ""
"""The kind of the row that says that a period was judged."""

OF_PERIOD: Final = "of_period"
SCHEMA: Final = {
    OF_PERIOD: pl.String,
    "kind": pl.String,
    "column": pl.String,
    "blocking": pl.Boolean,
    "sentence": pl.String,
}
"""The columns of the table. The findings of a table lie together, so its partition ``period`` holds the table's name."""


def quality_findings(lake: Lake, newest: int) -> list[QualityFinding]:
    """What was found in the newest periods, the oldest first; of kind ``unknown`` where a period could not be judged.

    Args:
        lake: lake of the company.
        newest: number of newest judged periods to tell of.

    Raises:
        LostError: if the table can't be read.
    """
    rows = _rows(lake)
    periods = sorted(rows[OF_PERIOD].unique().to_list())[-newest:] if newest > 0 else []
    told = rows.filter(pl.col(OF_PERIOD).is_in(periods), pl.col("kind") != JUDGED)
    return _findings(told)


def blocking_findings(lake: Lake) -> list[QualityFinding]:
    """What blocks a period now, whenever it was found, the oldest period first.

    Raises:
        LostError: if the table can't be read.
    """
    return _findings(_rows(lake).filter("blocking"))


def judged_periods(lake: Lake) -> set[tuple[str, str]]:
    """The judged periods, as table and period; those without a finding are fine.

    Raises:
        LostError: if the table can't be read.
    """
    return {(str(table), str(period)) for table, period in _rows(lake).select(PERIOD, OF_PERIOD).unique().iter_rows()}


def write_findings(lake: Lake, table: str, found: Mapping[str, Sequence[QualityFinding]], *, run_id: str) -> None:
    """Keep what was found in periods of a table, in place of what was found in them before; other periods stay.

    Args:
        lake: lake of the company.
        table: table whose periods were judged.
        found: findings by period; none for a period without any.
        run_id: id of the run that judged.
    """
    judged = [
        QualityFinding(table=table, period=period, kind=JUDGED, column=None, blocking=False, sentence="")
        for period in found
    ]
    new = pl.DataFrame(
        [
            (one.period, one.kind, one.column, one.blocking, one.sentence)
            for one in [*judged, *(one for of_period in found.values() for one in of_period)]
        ],
        schema=SCHEMA,
        orient="row",
    )
    before = lake.read(TABLE, table) if lake.has(TABLE) else new.clear()
    kept = before.select(*SCHEMA).filter(~pl.col(OF_PERIOD).is_in(list(found)))
    lake.replace(TABLE, {table: pl.concat([kept, new]).sort(OF_PERIOD, "kind", "column")}, run_id=run_id)


def _rows(lake: Lake) -> pl.DataFrame:
    if not lake.has(TABLE):
        return pl.DataFrame(schema={PERIOD: pl.String, **SCHEMA})
    return lake.collect(TABLE, lake.scan(TABLE))


def _findings(rows: pl.DataFrame) -> list[QualityFinding]:
    ordered = rows.sort(OF_PERIOD, PERIOD, "kind", "column")
    return [
        QualityFinding(table=table, period=period, kind=kind, column=column, blocking=blocking, sentence=sentence)
        for table, period, kind, column, blocking, sentence in ordered.select(PERIOD, *SCHEMA).iter_rows()
    ]
