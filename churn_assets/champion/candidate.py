"""The candidate: the best family, with the files of its release and its manifest.

Belongs here: how a candidate is made. Does not belong here: whether it may serve (``gate``).
"""

import hashlib
import io
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.label import Label
from churn_assets.tables import JUDGE, SCORE, SELECT
from churn_assets.training.config_digest import config_digest
from churn_assets.training.fitted_family import GOLDEN, MODEL, FittedFamily
from churn_assets.training.fitting import training_rows
from churn_assets.training.golden import sampled
from churn_assets.training.split import split_in_words
from churn_assets.training.training_set import snapshots
from churn_store.errors import InputError
from churn_store.model.reasons.plan import ReasonPlan
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.model.words import NORMALISATION
from churn_store.releases.manifest import Evaluation, Manifest, TableVersion

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this code runs from, if it is one."""


@dataclass(frozen=True)
class Candidate:
    """A candidate's exported model and the files of its release."""

    signature: Signature
    scorer: Scorer
    files: dict[str, bytes]


class Selected(Protocol):
    """A family with its measures on the selecting rows."""

    @property
    def family(self) -> str:
        """Name of the family."""

    @property
    def measures(self) -> Mapping[str, float]:
        """Measures on the selecting rows, by name."""


S = TypeVar("S", bound=Selected)


def best_family(families: Sequence[S]) -> S:
    """The family with the least log loss on the selecting rows; of equal ones the first by name."""
    return min(families, key=lambda fitted: (fitted.measures["log_loss"], fitted.family))


def require_fitted_on(
    families: Sequence[FittedFamily], data: TableVersion, *, features: tuple[Feature, ...], settings: FittingSettings
) -> None:
    """Refuse families that were fitted on other rows than the present training set, or with other settings.

    Such a family may have been fitted on rows that judge now or on excluded columns, or tuned for other costs.

    Args:
        families: documents of the fitted families.
        data: version and digest of the present training set.
        features: features that models may use at present.
        settings: present settings that a fit depends on.

    Raises:
        InputError: some families differ; the message names them.
    """
    outdated = [
        f"{fitted.family} of version {fitted.training_set.version}"
        for fitted in families
        if fitted.training_set.digest != data.digest
    ]
    if outdated:
        raise InputError(
            f"{', '.join(outdated)} of training_set {'was' if len(outdated) == 1 else 'were'} fitted on other rows than its version "
            f"{data.version}, which is there now; run the job retrain, or `churn demo`, which fit all families"
        )
    require_configured({fitted.family: fitted.configured for fitted in families}, features, settings)


def require_configured(configured: Mapping[str, str], features: tuple[Feature, ...], settings: FittingSettings) -> None:
    """Refuse families that were fitted with other settings or features than the present ones.

    Args:
        configured: digest of the settings and features of each family's fit (``config_digest``), by its name.
        features: features that models may use at present.
        settings: present settings that a fit depends on.

    Raises:
        InputError: some families differ; the message names them.
    """
    outdated = [family for family, digest in configured.items() if digest != config_digest(family, features, settings)]
    if outdated:
        raise InputError(
            f"{', '.join(outdated)} {'was' if len(outdated) == 1 else 'were'} fitted with other features, or with other settings of "
            "training, profit, label or at_risk, than the present ones; run the job retrain, or `churn demo`, which fit all families and "
            "make candidate_model of one of them"
        )


def build(signature: Signature, *, model: bytes, golden: bytes, training_set: pl.DataFrame, seed: int) -> Candidate:
    """Make the files of a release from the files of a fitted family.

    Args:
        signature: inputs of the model.
        model: exported model, ONNX.
        golden: golden rows, JSON.
        training_set: training set with the rows of every role; the judging rows are not used.
        seed: seed of the reference sample.
    """
    scorer = Scorer(model, signature)
    files = {
        MODEL: model,
        GOLDEN: golden,
        "reference.parquet": reference(scorer, sampled(training_set, seed=seed)),
    }
    return Candidate(signature, scorer, files)


def reference(scorer: Scorer, rows: pl.DataFrame) -> bytes:
    """The reference sample of drift, as Parquet: features, score and snapshot of rows that do not judge, without ids."""
    times = [name for name in ("snapshot_s",) if name in rows.columns]
    frame = rows.select(*times, *scorer.signature.names).with_columns(pl.Series(SCORE, scorer.score_frame(rows)))
    buffer = io.BytesIO()
    frame.sort(frame.columns).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def code_commit() -> str:
    """The commit of the checkout that this code runs from; ``unknown`` outside of one."""
    try:
        answer = subprocess.run(  # noqa: S603
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def lock_sha256() -> str:
    """sha256 of ``requirements.lock``; ``unknown`` outside of a checkout."""
    lock = ROOT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "unknown"


def describe(
    candidate: Candidate,
    *,
    company: str,
    purpose: str,
    settings: FittingSettings,
    chosen: FittedFamily,
    training_set: pl.DataFrame,
    metrics: dict[str, float],
    evaluation: Evaluation,
    tables: dict[str, TableVersion],
    mlflow: dict[str, str],
    now_s: int,
    normalisation: int = NORMALISATION,
    protected: Mapping[str, str] | None = None,
    reasons: ReasonPlan | None = None,
    treated: str | None = None,
) -> Manifest:
    """The manifest of a candidate, without its files and without a blessing."""
    protected_inputs = {name: reason for name, reason in (protected or {}).items() if name in candidate.signature.names}
    judging = training_set.filter(pl.col("role") == JUDGE)
    not_judging = training_set.filter(pl.col("role") != JUDGE)
    selecting = training_set.filter(pl.col("role") == SELECT)
    training = training_rows(training_set, settings.training, seed=chosen.seed)
    return Manifest(
        company=company,
        family=chosen.family,
        signature=candidate.signature,
        label=label_in_words(settings.label, has_time=settings.has_time),
        horizon_days=settings.label.horizon_days if settings.has_time else None,
        threshold=chosen.threshold,
        metrics=metrics,
        trained_on=tuple(snapshots(not_judging)),
        training_rows=training.height + selecting.height,
        judged_on=tuple(snapshots(judging)),
        judging_rows=judging.height,
        split=split_in_words(training_set, settings.training),
        tables=tables,
        mlflow=mlflow,
        code_commit=code_commit(),
        lock_sha256=lock_sha256(),
        created_s=now_s,
        files={},
        parameters=dict(chosen.parameters),
        calibrated_on=tuple(snapshots(selecting)),
        population=population_in_words(settings.at_risk, has_time=settings.has_time),
        purpose=purpose,
        evaluation=evaluation,
        normalisation=normalisation,
        protected=protected_inputs or msgspec.UNSET,
        reasons=reasons or msgspec.UNSET,
        treated=treated or msgspec.UNSET,
    )


def population_in_words(rule: AtRisk, *, has_time: bool) -> str:
    """Who is at risk, for people."""
    if not has_time:
        return "customers without a label; where every customer of the source has one, those who stayed"
    ended = f", without an event {_any_of(rule.endings)}" if rule.endings else ""
    return (
        f"customers who signed up at least {rule.signed_up_days} days before the snapshot{ended}, with an event or a settled payment "
        f"in the {rule.active_days} days before it"
    )


def label_in_words(label: Label, *, has_time: bool) -> str:
    """The definition of churn, for people."""
    if not has_time:
        return "the label column of the source says so; it names no window of time"
    window = f"within {label.horizon_days} days after the snapshot"
    if label.kind == "event":
        return f"an event {_any_of(label.event)} {window}"
    return f"no event and no settled payment {window}"


def _any_of(words: Sequence[str]) -> str:
    return " or ".join(map(repr, words))
