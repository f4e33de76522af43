"""An installation that the commit 3c5aea9 made, upgraded: its release serves, its history stays, and the next retraining runs.

``older/installation-of-3c5aea9.tar.xz`` is a whole company folder. What its assets passed on lies in ``.dagster/artifacts/storage`` as
pickles that name modules as they were then; here each is replaced by one that writes a file where it is loaded.
"""

import pickle
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST, LABELS, RETRAIN
from churn_assets.automation.runner import QUIET, why
from churn_assets.build import build_defs
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.cli.main import churn
from churn_store.clock import parse_time
from churn_store.database import schema
from churn_store.model.reasons.plan import ReasonPlan
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.explaining import explainer_of
from churn_store.releases.log import history

pytestmark = pytest.mark.integration

ARCHIVE = Path(__file__).parent / "older" / "installation-of-3c5aea9.tar.xz"
RELEASE = "e6dd85560f1bcb72e75a656482aa4e008b1114b403f4059c6598b69a9ae1a99e"
RUNS = ("ingest", "build_features", "build_labels", "retrain", "score", "monitor")
VALUES = {"logistic_regression", "random_forest", "gradient_boosting", "candidate_model", "model_blessing"}
A_MONTH_LATER = "2025-05-01"


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.sprung, "sprung")


@dataclass(frozen=True)
class Upgraded:
    """The older folder under this code, its database migrated."""

    folder: Path
    settings: Settings
    serving: ServingStore
    instance: dg.DagsterInstance
    before: dict[str, set[str]]

    @property
    def storage(self) -> Path:
        """Where values between assets are."""
        return Path(self.instance.storage_directory())

    @property
    def sprung(self) -> Path:
        """There once a pickle was loaded."""
        return self.folder / "sprung"

    def run(self, job: str, *periods: str) -> None:
        """Run a job for a period, for all from one to another, or without."""
        period = periods[0] if len(periods) == 1 else None
        tags = dict(zip((RANGE_START, RANGE_END), periods, strict=True)) if len(periods) > 1 else {}
        job_def = build_defs(self.settings).resolve_job_def(job)
        result = job_def.execute_in_process(
            instance=self.instance, partition_key=period, tags=tags, run_config=QUIET, raise_on_error=False
        )
        assert result.success, why(result)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("older")
    shutil.unpack_archive(ARCHIVE, folder)
    with sqlite3.connect(folder / ".churn" / "mlflow.db") as database:  # where it was made is not where it is
        artifacts = (folder / ".churn" / "mlartifacts").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'churn-older'", [artifacts])
    files = [path for path in (folder / ".dagster" / "artifacts" / "storage").rglob("*") if path.is_file()]
    assert {path.name for path in files} > VALUES
    for file in files:
        assert file.read_bytes().startswith(b"\x80")
        file.write_bytes(pickle.dumps(Trap(folder / "sprung")))
    with chdir(folder), instance_of(folder) as instance:
        migrated = CliRunner().invoke(churn, ["migrate"], catch_exceptions=False)
        assert migrated.exit_code == 0, migrated.output
        settings = Settings.load()
        evaluation = settings.evaluation.model_copy(update={"draws": 100})  # as quick as it may be
        settings = settings.model_copy(update={"evaluation": evaluation})
        serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
        runs = {"runs": {run.run_id for run in instance.get_runs()}, "files": {str(file.resolve()) for file in files}}
        yield Upgraded(folder, settings, serving, instance, runs)


def test_the_older_release_loads_and_scores_as_it_did(older: Upgraded) -> None:
    bundle = older.serving.champion()  # replays its golden rows
    assert bundle is not None
    assert bundle.digest == RELEASE
    with older.serving.engine.connect() as connection:
        log = schema.prediction_log
        answered = connection.execute(sa.select(log).where(log.c.release == bundle.digest)).all()
    assert len(answered) > 100
    scores = bundle.scorer.score_rows([row.features for row in answered])
    assert [round(score, 6) for score in scores] == [round(row.probability, 6) for row in answered]


def test_the_older_release_is_explained_by_its_reference_sample(older: Upgraded) -> None:
    bundle = older.serving.champion()
    assert bundle is not None
    explainer = explainer_of(bundle)
    with older.serving.engine.connect() as connection:
        rows = connection.execute(sa.select(schema.prediction_log.c.features).limit(20)).scalars().all()
    for row in rows:
        found = explainer.explain_row("c1", row)
        parts = sum(reason.contribution for reason in found.reasons)
        assert found.reference_log_odds + parts + found.difference == pytest.approx(found.log_odds, abs=1e-9)
        assert abs(found.difference) < 1e-4
        assert found.raising


def test_the_older_runs_and_their_events_are_read(older: Upgraded) -> None:
    runs = [run for run in older.instance.get_runs() if run.run_id in older.before["runs"]]
    assert [run.job_name for run in reversed(runs)] == list(RUNS)
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    for run in runs:
        assert older.instance.all_logs(run.run_id)
    for asset in (*VALUES, "training_set", "champion", "drift_report"):
        records = older.instance.fetch_materializations(dg.AssetKey(asset), limit=10).records
        assert records[-1].run_id in older.before["runs"]
    found = newest_materialization(older.instance, "candidate_model")
    assert found is not None
    assert found.metadata["family"]


def test_an_asset_alone_asks_for_the_value_that_the_older_version_left_as_a_pickle(older: Upgraded) -> None:
    job = build_defs(older.settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=older.instance, asset_selection=[dg.AssetKey("champion")], run_config=QUIET, raise_on_error=False
    )
    error, wrong_input = why(result)
    assert wrong_input
    assert re.match(r"the value of (candidate_model|model_blessing) is not there \(", error)
    assert not older.sprung.exists()


def test_the_next_retraining_runs_to_a_verdict_and_loads_no_pickle(older: Upgraded) -> None:
    older.settings.clock.fix(parse_time(A_MONTH_LATER, where="test"))
    known = {blessing.candidate for blessing in newest_blessings(older.serving.engine)}
    older.run(INGEST, "2025-04-01")
    # The catalogue has a feature more since then: all snapshots are built anew in one run, as `churn data migrate` says.
    older.run(FEATURES, Lake(older.settings.lake_url).periods("customer_features")[0], "2025-05-01")
    older.run(LABELS, "2025-03-01")
    older.run(RETRAIN)
    [verdict] = [one for one in newest_blessings(older.serving.engine) if one.candidate not in known]
    assert len(verdict.rules) > 10
    assert "took longer" not in " ".join(rule.found for rule in verdict.rules)
    [export] = [rule for rule in verdict.rules if rule.name == "export_equals_pipeline"]
    assert export.passed
    assert history(older.serving.engine)[-1].champion == RELEASE
    plan = load_manifest(older.serving.files, verdict.candidate).reasons
    assert isinstance(plan, ReasonPlan)
    assert {"activity", "silence", "plan", "tenure"} <= {group.code for group in plan.groups} == set(plan.frequencies)
    files = {str(path.resolve()) for path in older.storage.rglob("*") if path.is_file()}
    assert older.before["files"] < files
    written = [Path(path) for path in files - older.before["files"]]
    assert sorted(path.name for path in written) == sorted(f"{name}.json" for name in VALUES)
    for path in written:
        assert isinstance(msgspec.json.decode(path.read_bytes()), dict)
    assert not older.sprung.exists()
    pickle.loads(Path(next(iter(older.before["files"]))).read_bytes())  # noqa: S301
    assert older.sprung.exists(), "the traps work"
