"""The lake's table ``performance_history``: what was measured at each mature snapshot, and what follows from all of them.

A row holds what its own snapshot says and nothing else, so that a snapshot whose labels are restated is made again alone, and a period
built twice holds the same rows. The verdicts follow from all snapshots in their order, whenever they are read (``verdicts``).

Belongs here: the form of the table, and reading it. Does not belong here: how the figures come about (``judging``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import pandera.polars as pa
import polars as pl

from churn_assets.contracts import contract
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.performance.degradation import Point, Rule, Series
from churn_store.monitoring.facts import Measured

TABLE: Final = "performance_history"

KEY: Final = ("snapshot_s", "release", "arm", "segment")

_TYPES: Final[dict[str, type[pl.DataType]]] = {
    "snapshot_s": pl.Int64,
    "release": pl.String,
    "arm": pl.String,
    "segment": pl.String,
    "rows": pl.Int64,
    "effective_rows": pl.Float64,
    "lacking": pl.String,
    "promised": pl.Float64,
    "seen": pl.Float64,
    "excess": pl.Float64,
    "excess_variance": pl.Float64,
    "promised_log_loss": pl.Float64,
    "gate_error": pl.Float64,
    "measures": pl.String,
    "details": pl.String,
    "labels": pl.String,
    "rule": pl.String,
}

_DESCRIBED: Final = {
    "snapshot_s": "time T of the snapshot, in epoch seconds (UTC)",
    "release": "sha256 of the release that was judged; empty where nothing was served",
    "arm": "arm of an experiment, as experiment/arm; empty for all customers of the release",
    "segment": "segment of the customers, such as plan=pro; empty for all",
    "rows": "customers with a prediction and an outcome",
    "effective_rows": "number of equally weighted rows that are worth as much, where treated customers are left out",
    "lacking": "why the rows can't be judged, in a sentence; empty where they can",
    "promised": "mean probability",
    "seen": "share who left",
    "excess": "log loss above what the gate's figure promises for these scores at the seen base rate",
    "excess_variance": "sampling variance of the excess",
    "promised_log_loss": "log loss that the gate's figure promises",
    "gate_error": "standard error of that promise",
    "measures": "figures by name with their intervals, as JSON",
    "details": "risk bands, who was called, the gate's own figures and what was left out, as JSON",
    "labels": "sha256 of the published labels that it was judged by",
    "rule": "rule of degradation that the company had, as JSON",
}


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A risk band, or those called churners or not: what was promised of its customers, and what they did.

    Attributes:
        low: lower end of an interval of 95 % of ``seen``.
        high: upper end.
    """

    name: str
    rows: int
    promised: float
    seen: float
    low: float
    high: float


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known of the rows of a release.

    Attributes:
        gate: figures of the gate by name; empty for arms and segments.
        bands: risk bands, the lowest first.
        called: who was called a churner, and who was not.
        counts: predictions and outcomes that were used and left out, by name.
        notes: what has to be known to read the figures, in sentences.
    """

    gate: dict[str, Measured] = {}
    bands: list[Band] = []
    called: list[Band] = []
    counts: dict[str, int] = {}
    notes: list[str] = []


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    Attributes:
        snapshot: key of the snapshot.
        point: excess log loss; ``None`` where it can't be judged.
        lacking: why it can't be judged, in a sentence; empty where it can.
        labels: sha256 of the published labels; empty where none could be read.
    """

    snapshot: str
    series: Series
    rows: int
    effective_rows: float
    lacking: str
    promised: float | None
    seen: float | None
    point: Point | None
    measures: dict[str, Measured]
    details: Details
    labels: str
    rule: Rule


def history_contract() -> pa.DataFrameSchema:
    """One row a snapshot, release, arm and segment."""
    probability = [pa.Check.in_range(0.0, 1.0)]
    return contract(
        _TYPES,
        key=KEY,
        checks={
            "rows": [pa.Check.ge(0)],
            "promised": probability,
            "seen": probability,
            "excess_variance": [pa.Check.ge(0)],
        },
        nullable=("promised", "seen", "excess", "excess_variance", "promised_log_loss", "gate_error"),
        described=_DESCRIBED,
    )


def as_frame(rows: Iterable[Row], *, snapshot_s: int) -> pl.DataFrame:
    """The rows of one snapshot as the table has them.

    Args:
        rows: the rows.
        snapshot_s: time T of the snapshot, in epoch seconds.
    """

    def text(value: object) -> str:
        return msgspec.json.encode(value, order="deterministic").decode()

    columns = [
        {
            "snapshot_s": snapshot_s,
            "release": row.series.release,
            "arm": row.series.arm or "",
            "segment": row.series.segment or "",
            "rows": row.rows,
            "effective_rows": row.effective_rows,
            "lacking": row.lacking,
            "promised": row.promised,
            "seen": row.seen,
            "excess": None if row.point is None else row.point.excess,
            "excess_variance": None if row.point is None else row.point.variance,
            "promised_log_loss": None if row.point is None else row.point.promised,
            "gate_error": None if row.point is None else row.point.gate_error,
            "measures": text(row.measures),
            "details": text(row.details),
            "labels": row.labels,
            "rule": text(row.rule),
        }
        for row in rows
    ]
    return pl.DataFrame(columns, schema=_TYPES)


def read_history(lake: Lake, *, version: int | None = None) -> list[Row]:
    """All rows, the oldest snapshot first; none where nothing was ever judged.

    Raises:
        LostError: if the table is damaged.
        StoreAwayError: if the object store does not answer.
    """
    if not lake.has(TABLE):
        return []
    frame = lake.collect(TABLE, lake.scan(TABLE, version=version), version=version)
    return [_row(values) for values in frame.sort(PERIOD, *KEY).iter_rows(named=True)]


def by_snapshot(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows by snapshot, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.snapshot, []).append(row)
    return found


def _row(values: Mapping[str, object]) -> Row:
    def number(name: str) -> float | None:
        value = values[name]
        return None if value is None else float(str(value))

    point: Sequence[float | None] = [
        number(name) for name in ("excess", "excess_variance", "promised_log_loss", "gate_error")
    ]
    known = [value for value in point if value is not None]
    return Row(
        snapshot=str(values[PERIOD]),
        series=Series(str(values["release"]), str(values["arm"]) or None, str(values["segment"]) or None),
        rows=int(str(values["rows"])),
        effective_rows=number("effective_rows") or 0.0,
        lacking=str(values["lacking"]),
        promised=number("promised"),
        seen=number("seen"),
        point=Point(*known) if len(known) == len(Point._fields) else None,
        measures=msgspec.json.decode(str(values["measures"]), type=dict[str, Measured]),
        details=msgspec.json.decode(str(values["details"]), type=Details),
        labels=str(values["labels"]),
        rule=msgspec.json.decode(str(values["rule"]), type=Rule),
    )
