"""A real release and real online features in a moment: what the tests and the serving benchmark serve.

Belongs here: a small scikit-learn pipeline, its ONNX export and the files around it. Does not belong here: how the
platform trains (``churn_assets.training``).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import sqlalchemy as sa
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn_store.model.reasons.plan import ReasonPlan
from churn_store.model.scorer import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.model.signature import Column, Signature
from churn_store.model.words import NORMALISATION
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import stage
from churn_store.releases.log import Serving, newest, publish
from churn_store.releases.manifest import (
    FILE_LIMITS,
    Blessing,
    Evaluation,
    Golden,
    Interval,
    Manifest,
    ProfitTerms,
    ReliabilityBin,
    Rule,
    TableVersion,
    encode,
)
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import Snapshot, write_snapshot

NOW_S = int(datetime(2026, 2, 2, tzinfo=UTC).timestamp())
SNAPSHOT_S = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())

WORDS = {
    "plan": ("basic", "plus", "pro"),
    "country": ("at", "de", "fr", "pl"),
    "channel": ("mail", "shop", "web"),
}


def small_columns(numbers: int = 15) -> tuple[Column, ...]:
    """``numbers`` numbers and three categories; the last number may be missing."""
    return (
        Column(name="sessions_30d", kind="number", low=0, high=1_000, unit="count", description="sessions in 30 days"),
        *(Column(name=f"paid_{i}_cents", kind="number", low=0, unit="cents") for i in range(numbers - 2)),
        Column(name="days_since_ticket", kind="number", low=0, nullable=True, unit="days"),
        *(Column(name=name, kind="category", categories=words) for name, words in WORDS.items()),
    )


@dataclass(frozen=True)
class Candidate:
    """A trained model that no gate has judged yet."""

    manifest: Manifest
    contents: dict[str, bytes]
    pipeline: Pipeline


def rows_of(columns: Sequence[Column], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Plain rows that fit the columns; with the first number, the risk falls."""
    random = np.random.default_rng(seed)
    drawn: dict[str, list[Any]] = {}
    for column in columns:
        if column.kind == "category":
            drawn[column.name] = [str(word) for word in random.choice(column.categories, count)]
        else:
            values = [float(value) for value in random.integers(0, 100, count)]
            drawn[column.name] = [
                None if column.nullable and missing else value
                for value, missing in zip(values, random.random(count) < 0.2, strict=True)
            ]
    return [{name: values[i] for name, values in drawn.items()} for i in range(count)]


def train(
    columns: Sequence[Column] | None = None,
    *,
    seed: int = 0,
    threshold: float = 0.5,
    horizon_days: int | None = 30,
    golden_shift: float = 0.0,
    reference: bool = False,
    reasons: ReasonPlan | None = None,
) -> Candidate:
    """Fit, export and describe a model.

    Args:
        columns: its inputs; default ``small_columns()``.
        seed: another seed is another model.
        threshold: of the decision.
        horizon_days: of the label.
        golden_shift: added to the golden probabilities, for a release that lies.
        reference: whether its ``reference.parquet`` is a sample that can be read.
        reasons: plan of its reasons, as a manifest of today has; ``None`` as of older ones.
    """
    signature = Signature(tuple(columns or small_columns()))
    rows = rows_of(signature.columns, 600, seed)
    matrix = _matrix(signature, rows)
    first = np.nan_to_num(matrix[:, 0].astype(float))
    churned = np.random.default_rng(seed + 1).random(len(rows)) < 1 / (1 + np.exp((first - 50 + seed) / 15))
    positions = {name: i for i, name in enumerate((*signature.numbers, *signature.categories))}
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                (
                    NUMBERS,
                    make_pipeline(SimpleImputer(), StandardScaler()),
                    [positions[name] for name in signature.numbers],
                ),
                (CATEGORIES, OneHotEncoder(handle_unknown="ignore"), [positions[name] for name in signature.categories]),
            ]
        ),
        LogisticRegression(max_iter=500),
    ).fit(matrix, churned)
    golden_rows = rows_of(signature.columns, 220, seed + 2)
    golden = Golden(
        rows=golden_rows,
        probabilities=[float(p) + golden_shift for p in pipeline.predict_proba(_matrix(signature, golden_rows))[:, 1]],
    )
    manifest = Manifest(
        company="test",
        family="logistic_regression",
        signature=signature,
        label="no event and no settled payment",
        horizon_days=horizon_days,
        threshold=threshold,
        metrics={"auc": 0.8},
        trained_on=("2025-11-01", "2025-12-01"),
        training_rows=len(rows),
        judged_on=("2026-01-01",),
        judging_rows=100,
        split="by time" if horizon_days is not None else "by customer: seed 42, held out 0.3",
        tables={"customer_features": TableVersion(version=3, digest="0" * 64)},
        mlflow={},
        code_commit="unknown",
        lock_sha256="0" * 64,
        created_s=NOW_S,
        files={},
        parameters={"C": 1.0},
        calibrated_on=("2025-12-01",),
        population="customers who signed up at least 30 days before the snapshot",
        purpose="Tests.",
        evaluation=Evaluation(
            confidence=0.95,
            intervals={"auc": Interval(0.8, 0.75, 0.85)},
            by_snapshot={"2026-01-01": {"auc": 0.8}},
            baselines={"base_rate": {"log_loss": 0.69}},
            segments=(),
            reliability=(ReliabilityBin(100, 0.3, 0.31),),
            importance={},
            profit=ProfitTerms(200.0, 10.0, 1.0, 6.0, 14.0),
        ),
        normalisation=NORMALISATION,
        reasons=reasons or msgspec.UNSET,
    )
    contents = {
        "model.onnx": _export(pipeline, signature),
        "golden.json": encode(golden),
        "reference.parquet": _parquet(rows) if reference else b"PAR1 is not read by the service",
    }
    assert set(contents) == set(FILE_LIMITS)
    return Candidate(manifest=manifest, contents=contents, pipeline=pipeline)


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def bless(
    engine: sa.Engine, manifest: Manifest, verdict: str = "accepted", *, epoch: int = 0, gain: float | None = None
) -> Blessing:
    """Record a verdict of the gate on a staged candidate; ``epoch`` was the newest when the gate looked."""
    blessing = msgspec.convert(
        {
            "candidate": manifest.candidate,
            "verdict": verdict,
            "rules": [Rule(name="auc", passed=verdict == "accepted", found="0.80", allowed="at least 0.60")],
            "actor": "gate",
            "decided_s": NOW_S,
            "epoch": epoch,
            "gain": gain,
        },
        Blessing,
    )
    record_blessing(engine, blessing)
    return blessing


def release(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, *, reason: str = "test", now_s: int = NOW_S
) -> Serving:
    """Stage, bless and publish a candidate as the next epoch."""
    staged = stage(files, candidate.contents, candidate.manifest)
    before = newest(engine)
    return publish(
        engine,
        files,
        staged,
        bless(engine, staged),
        read_epoch=0 if before is None else before.epoch,
        actor="test",
        reason=reason,
        now_s=now_s,
    )


def make_release(engine: sa.Engine, files: DigestStore, **model: Any) -> Serving:
    """Train (see ``train`` for the parameters) and release."""
    return release(engine, files, train(**model))


def make_online(
    url: str,
    *,
    customers: int = 50,
    columns: Sequence[Column] | None = None,
    leave_out: Sequence[str] = (),
    snapshot_s: int | None = SNAPSHOT_S,
    seed: int = 7,
) -> Snapshot:
    """Online features of customers ``c0``, ``c1``, ... in another order than the signature's, with one column more."""
    rows = rows_of(columns or small_columns(), customers, seed)
    names = ["a_column_of_another_model", *(name for name in sorted(rows[0]) if name not in leave_out)]
    return write_snapshot(
        url,
        name="all" if snapshot_s is None else datetime.fromtimestamp(snapshot_s, UTC).date().isoformat(),
        snapshot_s=snapshot_s,
        columns=names,
        rows=((f"c{i}", [row.get(name) for name in names]) for i, row in enumerate(rows)),
        now_s=NOW_S,
    )


def expected_probability(candidate: Candidate, row: dict[str, Any]) -> float:
    """What the scikit-learn pipeline itself says about a row."""
    return float(candidate.pipeline.predict_proba(_matrix(candidate.manifest.signature, [row]))[0, 1])


def _matrix(signature: Signature, rows: list[dict[str, Any]]) -> npt.NDArray[np.object_]:
    numbers, categories = signature.tensors(rows)
    return np.hstack([numbers.astype(object), categories])


def _export(pipeline: Pipeline, signature: Signature) -> bytes:
    model = to_onnx(
        pipeline,
        initial_types=[
            (NUMBERS, FloatTensorType([None, len(signature.numbers)])),
            (CATEGORIES, StringTensorType([None, len(signature.categories)])),
        ],
        options={id(pipeline): {"zipmap": False}},
        target_opset=17,
    )
    assert PROBABILITIES in [output.name for output in model.graph.output]
    exported: bytes = model.SerializeToString()
    return exported
