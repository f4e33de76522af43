"""A small world for the gate: a training set over six snapshots, candidates fitted on it, and a champion that serves."""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from sklearn.pipeline import Pipeline

from churn_assets.champion.candidate import Candidate, build, describe
from churn_assets.champion.gate.evidence import Checked, Evidence
from churn_assets.champion.untuned import untuned_scores
from churn_assets.evaluation.baselines import RECENCY, baselines
from churn_assets.evaluation.evaluate import evaluate
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.profit import Profit
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.fitted_family import GOLDEN, MODEL, PROBABILITIES, FittedFamily, as_document, contents
from churn_assets.training.fitting import Fitted, fit_family
from churn_assets.training.held_out import PipelineProbabilities, decode, pipeline_probabilities
from churn_store.clock import DAY_S
from churn_store.database.migrate import migrate
from churn_store.model.signature import Column
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import Bundle, load_bundle, stage
from churn_store.releases.log import newest, publish
from churn_store.releases.manifest import Blessing, Evaluation, Manifest, Rule, TableVersion
from churn_store.storage.digest_store import DigestStore
from tests.features.company import SNAPSHOT

NOW_S = epoch_s(SNAPSHOT)
CUSTOMERS = 300
UNTUNED = Settings(company="test", training=Training(families=("logistic_regression",))).fitting
"""Of the untuned families one is enough, and soon fitted."""
ROLES = [TRAIN] * 3 + [SELECT, JUDGE, JUDGE]
MONTH_S = 31 * DAY_S
JUDGED_FROM = NOW_S + 4 * MONTH_S
JUDGED_S = NOW_S + 7 * MONTH_S
"""When the gate is asked: the labels of all snapshots are mature."""
TRAINED_UNTIL = NOW_S + 3 * MONTH_S + 30 * DAY_S


def company_of_one_table(folder: Path, monkeypatch: pytest.MonkeyPatch, *, attribute: str = "visits") -> Settings:
    """The settings of a company of data without time in a folder, with a migrated serving database."""
    config = folder / "churn.yaml"
    config.write_text(
        "company: small\nsource:\n  kind: files\n  shape: table\n  customers: {path: c.csv, columns: {customer_id: id}, "
        f"label: {{column: left}}, attributes: {{{attribute}: {{column: v, kind: number}}}}}}\n"
    )
    monkeypatch.setenv("CHURN_CONFIG", str(config))
    settings = Settings.load(home=folder)
    migrate(settings.database_url)
    return settings


def attributes(*more: str) -> tuple[Feature, ...]:
    numbers = [Column(name=name, kind="number", nullable=True) for name in ("visits", "spend", *more)]
    return features_of(["customers"], [*numbers, Column(name="plan", kind="category")], has_time=False)


def training_set(seed: int = 0) -> pl.DataFrame:
    """Rows of every role; churn follows visits and plan; ``leak`` is the label itself, ``truth`` its probability, ``noise`` nothing."""
    generator = np.random.default_rng(seed)
    count = CUSTOMERS * len(ROLES)
    visits, plan = generator.integers(0, 30, count).astype(float), generator.choice(["free", "pro"], count)
    truth = 1 / (1 + np.exp((visits - 10) / 5 - (plan == "free")))
    churned = generator.random(count) < truth
    return pl.DataFrame(
        {
            "customer_id": [f"c{i % CUSTOMERS}" for i in range(count)],
            "snapshot_s": [NOW_S + i // CUSTOMERS * MONTH_S for i in range(count)],
            "visits": visits,
            "spend": generator.integers(0, 9_999, count).astype(float),
            "plan": plan,
            "noise": generator.random(count),
            "leak": churned.astype(float),
            "truth": truth,
            "churned": churned,
            "role": [ROLES[i // CUSTOMERS] for i in range(count)],
        }
    )


@dataclass(frozen=True, repr=False)
class Built(Candidate):
    """A candidate with what its family has left of the pipeline, and the pipeline."""

    fitted: Fitted
    trained: PipelineProbabilities

    @property
    def model(self) -> str:
        """sha256 of the export."""
        return sha256(self.files[MODEL]).hexdigest()

    @property
    def pipeline(self) -> Pipeline:
        """As trained."""
        return self.fitted.pipeline

    def says_of(self, rows: pl.DataFrame) -> PipelineProbabilities:
        """What its pipeline says of the held-out ones of other rows than its own."""
        return pipeline_probabilities(self.pipeline, rows, self.signature, model=self.files[MODEL])


@dataclass(frozen=True, repr=False)
class World:
    """What the gate's tests share."""

    folder: Path
    engine: sa.Engine
    files: DigestStore
    rows: pl.DataFrame
    candidate: Built
    manifest: Manifest
    champion: Bundle

    @property
    def judging(self) -> pl.DataFrame:
        """The rows of the two newest snapshots."""
        return self.rows.filter(role=JUDGE)

    @cached_property
    def case(self) -> Evidence:
        """A candidate that deserves to serve."""
        signature = self.candidate.signature
        return Evidence(
            trained=self.candidate.trained,
            model=self.candidate.model,
            scorer=self.candidate.scorer,
            threshold=self.manifest.threshold,
            golden=self.candidate.files["golden.json"],
            training_set=self.rows,
            checks=tuple(Checked(table, "schema", None, "passed") for table in ("training_set", "churn_labels")),
            evaluation=cast("Evaluation", self.manifest.evaluation),
            baselines={**baselines(self.rows, signature), RECENCY: self.judging["noise"].to_numpy()},
            untuned=untuned_scores(self.rows, attributes(), UNTUNED),
            reachable=self.judging["truth"].to_numpy(),
            judging_from=JUDGED_FROM,
            candidate_trained_until=TRAINED_UNTIL,
            epoch=1,
            champion=self.champion,
            champion_trained_until=TRAINED_UNTIL,
            nth=1,
            split="by time",
            champion_split="by time",
        )

    def instead(self, candidate: Built, chosen: Fitted) -> Evidence:
        """The case of another candidate."""
        return replace(
            self.case,
            trained=candidate.says_of(self.rows),
            model=candidate.model,
            scorer=candidate.scorer,
            threshold=chosen.threshold,
            golden=candidate.files["golden.json"],
            evaluation=evaluate(
                self.rows,
                candidate.scorer,
                threshold=chosen.threshold,
                profit=Profit(),
                evaluation=EvaluationSettings(),
                seed=42,
            ),
            baselines={**baselines(self.rows, candidate.signature), RECENCY: self.judging["noise"].to_numpy()},
        )


def fitted(family: str, rows: pl.DataFrame, features: tuple[Feature, ...]) -> Fitted:
    return fit_family(family, rows, features, Settings(company="test").fitting, data=TableVersion(0, "0" * 64))


def built(family: str, rows: pl.DataFrame, features: tuple[Feature, ...]) -> Built:
    return built_of(fitted(family, rows, features), rows)


def built_of(chosen: Fitted, rows: pl.DataFrame) -> Built:
    """The candidate of a fitted family, through the files that the family leaves."""
    left = contents(chosen, rows, seed=1)
    made = build(chosen.signature, model=left[MODEL], golden=left[GOLDEN], training_set=rows, seed=1)
    return Built(made.signature, made.scorer, made.files, chosen, decode(left[PROBABILITIES]))


def document(chosen: Fitted) -> FittedFamily:
    """What the asset of a fitted family hands on, without its files."""
    return as_document(chosen, {})


def staged(files: DigestStore, candidate: Candidate, chosen: Fitted, rows: pl.DataFrame) -> Manifest:
    settings = Settings(company="test")
    return stage(
        files,
        candidate.files,
        describe(
            candidate,
            company=settings.company,
            purpose=settings.purpose,
            settings=settings.fitting,
            chosen=document(chosen),
            training_set=rows,
            metrics={"auc": 0.7},
            evaluation=evaluate(
                rows,
                candidate.scorer,
                threshold=chosen.threshold,
                profit=settings.profit,
                evaluation=settings.evaluation,
                seed=settings.training.seed,
            ),
            tables={},
            mlflow={},
            now_s=NOW_S,
        ),
    )


def blessing(manifest: Manifest, *, accepted: bool) -> Blessing:
    return Blessing(
        manifest.candidate,
        "accepted" if accepted else "rejected",
        (Rule("auc_above_floor", accepted, "0.7", "at least 0.6"),),
        "test",
        NOW_S,
    )


def released(engine: sa.Engine, files: DigestStore, manifest: Manifest) -> Bundle:
    """Bless and publish a candidate."""
    said = blessing(manifest, accepted=True)
    record_blessing(engine, said)
    before = newest(engine)
    read_epoch = 0 if before is None else before.epoch
    row = publish(engine, files, manifest, said, read_epoch=read_epoch, actor="test", reason="test", now_s=NOW_S)
    return load_bundle(files, row.champion)


def make_world(folder: Path) -> World:
    """A good candidate beside a champion that was trained when visits said nothing yet."""
    url = f"sqlite:///{folder / 'serving.db'}"
    migrate(url)
    engine, files = sa.create_engine(url), DigestStore(str(folder / "releases"))
    rows = training_set()
    blind = rows.with_columns(visits=pl.col("noise") * 30)
    former, better = (fitted("logistic_regression", seen, attributes()) for seen in (blind, rows))
    champion = released(engine, files, staged(files, built_of(former, blind), former, blind))
    candidate = built_of(better, rows)
    return World(folder, engine, files, rows, candidate, staged(files, candidate, better, rows), champion)
