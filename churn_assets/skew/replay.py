"""Skew: whether what was served is what the batch path gives, by replay of logged requests.

Two things are compared. The features that were looked up, with those of the lake for the same customer and snapshot; they must be equal, bit
by bit. The probability that was answered, with that of the release's batch scorer on the batch features and on the logged ones; they must be
equal within ``GOLDEN_TOLERANCE``. Belongs here: the comparison, and why rows differ. Does not belong here: reading the log
(``monitoring.served_log``), and its result (``skew.report``).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import polars as pl

from churn_assets.features.todays_customers import features_at_risk
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.served_log import ServedRow
from churn_assets.periods import day_of, epoch_s
from churn_assets.skew.report import (
    DIFFERS,
    NO_COLUMN,
    NO_RELEASE,
    NO_SNAPSHOT,
    NOT_AT_RISK,
    NOT_IN_LAKE,
    NOT_SERVED,
    OTHER_SNAPSHOT,
    ROUNDING,
    FeatureSkew,
    OnlineSkew,
    ScoreSkew,
    SkewReport,
)
from churn_store.errors import ReleaseError
from churn_store.model.scorer import NoProbabilityError
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.manifest import GOLDEN_TOLERANCE
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import Snapshot, digest_of_rows

TABLE: Final = "customer_features"

ROUNDED: Final = 1e-6
"""A number that differs by less than this share of itself was rounded on the way."""

EXAMPLES: Final = 5

NEIGHBOURS: Final = 2
"""Snapshots before and after the right one, of which features may be that differ."""


@dataclass
class _Found:
    """What was found so far."""

    compared: int = 0
    apart: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    compared_features: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)
    on_logged: ScoreSkew = field(default_factory=ScoreSkew)
    on_batch: ScoreSkew = field(default_factory=ScoreSkew)
    mismatched: dict[tuple[str, int], ServedRow] = field(default_factory=dict)

    def differs(self, row: ServedRow) -> None:
        """Note a row with a mismatch."""
        self.mismatched.setdefault((row.request_id, row.item), row)


def replay(
    rows: Sequence[ServedRow], damaged: int, *, lake: Lake, files: DigestStore, online: Snapshot | None, has_time: bool,
    with_customers: bool = False,
) -> SkewReport:  # fmt: skip
    """Replay logged requests through the batch path.

    Args:
        rows: rows of the prediction log.
        damaged: number of rows that could not be read.
        lake: the lake.
        files: the release files.
        online: the online features that are served now; ``None`` without any.
        has_time: whether the data is a history. Without time the log does not say which features were looked up.
        with_customers: whether examples name their customers.
    """
    found = _Found()
    bundles = _bundles(rows, files)
    for row in rows:
        if bundles[row.release] is None:
            found.apart[NO_RELEASE] += 1
            found.differs(row)
    batch = dict(_batch_features(rows, lake, found))
    _compare_features(batch, lake, found)
    for digest, bundle in bundles.items():
        if bundle is not None:
            of_release = [row for row in rows if row.release == digest]
            _score_logged(of_release, bundle, found)
            _score_batch([row for row in of_release if _name(row) in batch], batch, bundle, found)
    return SkewReport(
        rows=len(rows),
        looked_up=sum(row.origin == "looked up" for row in rows),
        sent=sum(row.origin == "sent" for row in rows),
        survey=sum(row.origin == "survey" for row in rows),
        damaged=damaged,
        compared=found.compared,
        mismatched=len(found.mismatched),
        apart=dict(found.apart.most_common()),
        features=_features(found),
        on_logged=found.on_logged,
        on_batch=found.on_batch,
        online=online_skew(online, lake, has_time=has_time),
        releases=sorted(bundles),
        snapshots=sorted({_key(row) for row in rows if row.origin == "looked up"}),
        examples=[_example(row, with_customers) for row in list(found.mismatched.values())[:EXAMPLES]],
    )


def online_skew(online: Snapshot | None, lake: Lake, *, has_time: bool) -> OnlineSkew:
    """Whether the online features are those of the lake, by their digest."""
    if online is None:
        return OnlineSkew(snapshot=None, equal=None, why="there are no online features")
    if not lake.has(TABLE) or online.name not in lake.periods(TABLE):
        return OnlineSkew(snapshot=online.name, equal=False, why=f"the lake has no snapshot {online.name}")
    rows = features_at_risk(lake, online.name, version=lake.version(TABLE), has_time=has_time).sort("customer_id")
    if lacking := [name for name in online.columns if name not in rows.columns]:
        return OnlineSkew(snapshot=online.name, equal=False, why=f"the lake has no column {', '.join(lacking)}")
    values = ((customer_id, one) for customer_id, *one in rows.select("customer_id", *online.columns).iter_rows())
    digest = digest_of_rows(online.name, online.columns, values)
    if digest == online.digest:
        return OnlineSkew(snapshot=online.name, equal=True, why="")
    why = f"they have the digest {online.digest[:12]} and {online.rows:,} customers, the lake's rows {digest[:12]} and {rows.height:,}"
    return OnlineSkew(snapshot=online.name, equal=False, why=why)


def _bundles(rows: Sequence[ServedRow], files: DigestStore) -> dict[str, Bundle | None]:
    found: dict[str, Bundle | None] = {}
    for digest in dict.fromkeys(row.release for row in rows):
        try:
            found[digest] = load_bundle(files, digest)
        except ReleaseError:
            found[digest] = None
    return found


def _batch_features(
    rows: Sequence[ServedRow], lake: Lake, found: _Found
) -> Iterator[tuple[tuple[str, int], tuple[ServedRow, dict[str, Any]]]]:
    """The lake's features of each row that was looked up, by the row's name in the log."""
    stored = set(lake.periods(TABLE)) if lake.has(TABLE) else set()
    by_snapshot: dict[str, list[ServedRow]] = defaultdict(list)
    for row in rows:
        if row.origin == "looked up":
            by_snapshot[_key(row)].append(row)
    for key, of_snapshot in by_snapshot.items():
        known = _of_customers(lake, key, of_snapshot) if key in stored else {}
        for row in of_snapshot:
            features = known.get(str(row.customer_id))
            if features is None:
                found.apart[NOT_AT_RISK if key in stored else NO_SNAPSHOT] += 1
                found.differs(row)
            else:
                yield _name(row), (row, features)


def _of_customers(lake: Lake, key: str, rows: Sequence[ServedRow]) -> dict[str, dict[str, Any]]:
    """The lake's rows of some customers at a snapshot, by customer."""
    wanted = pl.DataFrame({"customer_id": sorted({str(row.customer_id) for row in rows})})
    features = lake.read(TABLE, key).join(wanted, on="customer_id", how="semi")
    return {str(one["customer_id"]): one for one in features.iter_rows(named=True)}


def _compare_features(batch: Mapping[tuple[str, int], tuple[ServedRow, dict[str, Any]]], lake: Lake, found: _Found) -> None:
    unequal: dict[str, list[tuple[ServedRow, dict[str, str]]]] = defaultdict(list)
    for row, features in batch.values():
        found.compared += 1
        kinds = {}
        for name, served in row.features.items():
            found.compared_features[name] += 1
            kind, distance = difference(served, features[name]) if name in features else (NO_COLUMN, None)
            if kind is not None:
                kinds[name] = kind
            if distance is not None:
                found.largest[name] = max(found.largest.get(name, 0.0), distance)
        if kinds:
            found.differs(row)
            unequal[_key(row)].append((row, kinds))
    for key, rows in unequal.items():
        others = _others(lake, key, [row for row, _ in rows])
        for row, kinds in rows:
            other = next((one for one, known in others.items() if _is_of(row, known)), None)
            for name, kind in kinds.items():
                found.kinds[name][kind if other is None else f"{OTHER_SNAPSHOT}{other}"] += 1


def _others(lake: Lake, key: str, rows: Sequence[ServedRow]) -> dict[str, dict[str, dict[str, Any]]]:
    """The snapshots around one, the nearest first, with the features of some customers."""
    day = date.fromisoformat(key)
    stored = [one for one in lake.periods(TABLE) if one != key]
    earlier = [one for one in stored if one < key][-NEIGHBOURS:]
    near = [*earlier, *[one for one in stored if one > key][:NEIGHBOURS]]
    near.sort(key=lambda one: abs(epoch_s(date.fromisoformat(one)) - epoch_s(day)))
    return {one: _of_customers(lake, one, rows) for one in near}


def _is_of(row: ServedRow, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether what was served is what a snapshot has of the customer."""
    features = known.get(str(row.customer_id))
    return features is not None and all(
        name in features and difference(served, features[name])[0] is None for name, served in row.features.items()
    )


def difference(served: Any, stored: Any) -> tuple[str | None, float | None]:
    """How a served value differs from the stored one.

    Returns:
        The kind, ``None`` where they are equal, and the absolute difference of two different numbers.
    """
    served, stored = _plain(served), _plain(stored)
    if served == stored:
        return None, None
    if served is None or stored is None:
        return NOT_SERVED if served is None else NOT_IN_LAKE, None
    if not isinstance(served, float) or not isinstance(stored, float):
        return DIFFERS, None
    distance = abs(served - stored)
    return (ROUNDING if distance <= ROUNDED * max(abs(stored), abs(served)) else DIFFERS), distance


def _plain(value: Any) -> Any:
    """A value as it is compared: numbers of any kind as one, and not-a-number as missing."""
    if isinstance(value, int | float):
        number = float(value)
        return None if number != number else number  # noqa: PLR0124 - not a number
    return value


def _score_logged(rows: Sequence[ServedRow], bundle: Bundle, found: _Found) -> None:
    names = set(bundle.manifest.signature.names)
    whole = []
    for row in rows:
        if names <= row.features.keys():
            whole.append(row)
        else:  # what the service logged is not what the release takes
            found.on_logged.rows += 1
            found.on_logged.mismatches += 1
            found.differs(row)
    _score(whole, _frame(bundle, [row.features for row in whole]), bundle, found.on_logged, found)


def _score_batch(
    rows: Sequence[ServedRow], batch: Mapping[tuple[str, int], tuple[ServedRow, dict[str, Any]]], bundle: Bundle,
    found: _Found,
) -> None:  # fmt: skip
    features = [batch[_name(row)][1] for row in rows]
    if features and all(name in features[0] for name in bundle.manifest.signature.names):
        _score(rows, _frame(bundle, features), bundle, found.on_batch, found)


def _frame(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    columns = bundle.manifest.signature.columns
    return pl.DataFrame(
        {column.name: [row[column.name] for row in rows] for column in columns},
        schema={column.name: pl.Float64 if column.kind == "number" else pl.String for column in columns},
        strict=False,
    )


def _score(rows: Sequence[ServedRow], frame: pl.DataFrame, bundle: Bundle, counted: ScoreSkew, found: _Found) -> None:
    counted.rows += len(rows)
    try:
        scored = bundle.scorer.score_frame(frame)
    except NoProbabilityError as error:
        scored = error.given
    for row, probability in zip(rows, scored.tolist(), strict=True):
        distance = abs(probability - row.probability)
        counted.largest = max(counted.largest, distance)
        if not distance <= GOLDEN_TOLERANCE:
            counted.mismatches += 1
            counted.decisions += (probability >= row.threshold) is not (row.probability >= row.threshold)
            found.differs(row)


def _features(found: _Found) -> list[FeatureSkew]:
    unequal = [
        FeatureSkew(
            feature=name,
            rows=found.compared_features[name],
            mismatches=kinds.total(),
            kinds=dict(kinds.most_common()),
            largest=found.largest.get(name),
        )
        for name, kinds in found.kinds.items()
    ]
    return sorted(unequal, key=lambda one: (-one.mismatches, one.feature))


def _example(row: ServedRow, with_customer: bool) -> dict[str, str]:
    named = {"prediction": f"{row.request_id}/{row.item}"}
    return {**named, "customer_id": str(row.customer_id)} if with_customer and row.customer_id is not None else named


def _name(row: ServedRow) -> tuple[str, int]:
    return row.request_id, row.item


def _key(row: ServedRow) -> str:
    """The snapshot of a row that was looked up."""
    assert row.snapshot_s is not None  # noqa: S101 - the row was looked up
    return day_of(row.snapshot_s).isoformat()
