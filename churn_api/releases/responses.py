"""The answer bodies of ``GET /model/version``, ``GET /models`` and ``POST /releases/rollback``.

Belongs here: making them from a manifest and the rows of ``releases``. Does not belong here: HTTP (``releases.routes``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from churn_api.releases.load_failures import Failure
from churn_api.releases.served import Served
from churn_api.releases.traffic_split import Challenge
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Evaluation, TableVersion


class NotTaken(msgspec.Struct, kw_only=True):
    """Why a release that the newest row names does not serve."""

    release: str | None
    reason: str
    detail: str
    at: datetime


class Challenger(msgspec.Struct, kw_only=True):
    """The release that answers a share of the customers, so that it can be compared with the champion.

    Attributes:
        share: share of the customers, chosen by a hash of their ids.
    """

    release: str
    share: float
    family: str
    threshold: float
    metrics: dict[str, float]
    trained_on: tuple[str, ...]
    judged_on: tuple[str, ...]
    evaluation: Evaluation | None
    blessing: str
    blessed_by: str
    mlflow: dict[str, str]


class ModelVersion(msgspec.Struct, kw_only=True):
    """The release that serves.

    Attributes:
        kind: way in which it came to serve, such as ``released``, ``approved`` or ``rolled_back``.
        gain: profit per customer above its champion's, as the gate found it; null if there was no champion or no comparison.
        since: time at which this worker began to serve it, by the platform's clock.
        from_cache: whether it was taken from local disk because the database or the store was away.
        parameters, calibrated_on, population, purpose, evaluation: null for a release from before they were recorded.
        evaluation: intervals of the metrics, baselines on the same rows, segments, and the assumptions of the profit.
        blessing: the gate's verdict; ``blessing_reasons`` say what each rule found, ``blessed_by`` who decided.
        not_taken: reason why a newer release does not serve.
        challenger: release that answers a share of the customers; null without one.
        challenger_not_taken: reason why the challenger of the newest row does not serve.
    """

    release: str
    epoch: int
    family: str
    role: str
    since: datetime
    published: datetime
    actor: str
    reason: str
    kind: str
    gain: float | None
    from_cache: bool
    label: str
    horizon_days: int | None
    threshold: float
    metrics: dict[str, float]
    trained_on: tuple[str, ...]
    training_rows: int
    calibrated_on: tuple[str, ...] | None
    judged_on: tuple[str, ...]
    judging_rows: int
    parameters: dict[str, str | int | float | bool | None] | None
    population: str | None
    purpose: str | None
    evaluation: Evaluation | None
    blessing: str
    blessing_reasons: list[str]
    blessed_by: str
    tables: dict[str, TableVersion]
    mlflow: dict[str, str]
    code_commit: str
    not_taken: NotTaken | None
    challenger: Challenger | None
    challenger_not_taken: NotTaken | None


class Release(msgspec.Struct, kw_only=True):
    """A row of the history: what served from then on, who released it and why.

    Attributes:
        former: previous champion; null for the first row.
        kind: what happened: ``released``, ``approved``, ``overridden``, ``challenged``, ``shadowed``, ``challenge_ended``,
            ``rolled_back``.
        gain: profit per customer above the former champion's, as the gate found it.
        challenger, challenger_share: challenger, and the share of the customers that it answered.
        serves: whether this worker serves by this row.
    """

    epoch: int
    release: str
    former: str | None
    kind: str
    gain: float | None
    challenger: str | None
    challenger_share: float
    actor: str
    reason: str
    published: datetime
    serves: bool


class Releases(msgspec.Struct, kw_only=True):
    """The history, newest first."""

    releases: list[Release]


def version_of(served: Served, failure: Failure | None, challenger_failure: Failure | None) -> ModelVersion:
    """What serves now, with its evidence."""
    manifest, row = served.champion.bundle.manifest, served.row
    blessing = manifest.blessing
    return ModelVersion(
        release=row.champion,
        epoch=row.epoch,
        family=manifest.family,
        role=served.champion.model.role,
        since=_time(served.since_s),
        published=_time(row.published_s),
        actor=row.actor,
        reason=row.reason,
        kind=row.kind,
        gain=row.gain,
        from_cache=served.from_cache,
        label=manifest.label,
        horizon_days=manifest.horizon_days,
        threshold=manifest.threshold,
        metrics=manifest.metrics,
        trained_on=manifest.trained_on,
        training_rows=manifest.training_rows,
        calibrated_on=_known(manifest.calibrated_on),
        judged_on=manifest.judged_on,
        judging_rows=manifest.judging_rows,
        parameters=_known(manifest.parameters),
        population=_known(manifest.population),
        purpose=_known(manifest.purpose),
        evaluation=_known(manifest.evaluation),
        blessing="none" if blessing is None else blessing.verdict,
        blessing_reasons=[] if blessing is None else blessing.reasons,
        blessed_by="" if blessing is None else blessing.actor,
        tables=manifest.tables,
        mlflow=manifest.mlflow,
        code_commit=manifest.code_commit,
        not_taken=_not_taken(failure),
        challenger=None if served.challenge is None else _challenger(served.challenge),
        challenger_not_taken=_not_taken(challenger_failure),
    )


def rows_of(history: Sequence[Serving], serving: int | None, *, at_most: int) -> list[Release]:
    """Rows of the history.

    Args:
        history: rows, newest first; if there are more than ``at_most``, one more, for the former champion of the last row shown.
        serving: epoch that this worker serves by.
        at_most: most rows returned.
    """
    before: list[Serving | None] = [*history[1:], None]
    return [row_of(row, former, serving) for row, former in zip(history[:at_most], before, strict=False)]


def row_of(row: Serving, former: Serving | None, serving: int | None) -> Release:
    """One row; ``former`` is the one before it."""
    return Release(
        epoch=row.epoch,
        release=row.champion,
        former=None if former is None else former.champion,
        kind=row.kind,
        gain=row.gain,
        challenger=row.challenger,
        challenger_share=row.challenger_share,
        actor=row.actor,
        reason=row.reason,
        published=_time(row.published_s),
        serves=row.epoch == serving,
    )


def _challenger(challenge: Challenge) -> Challenger:
    manifest = challenge.challenger.bundle.manifest
    blessing = manifest.blessing
    return Challenger(
        release=challenge.challenger.bundle.digest,
        share=challenge.share,
        family=manifest.family,
        threshold=manifest.threshold,
        metrics=manifest.metrics,
        trained_on=manifest.trained_on,
        judged_on=manifest.judged_on,
        evaluation=_known(manifest.evaluation),
        blessing="none" if blessing is None else blessing.verdict,
        blessed_by="" if blessing is None else blessing.actor,
        mlflow=manifest.mlflow,
    )


def _known(value: Any) -> Any:
    """A part of the manifest, or ``None`` where an older release lacks it."""
    return None if value is msgspec.UNSET else value


def _not_taken(failure: Failure | None) -> NotTaken | None:
    if failure is None:
        return None
    return NotTaken(release=failure.digest, reason=failure.reason, detail=failure.detail, at=_time(failure.at_s))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
