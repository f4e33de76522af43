"""The training set of a registered model is made again from its manifest, whatever was written since."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import msgspec
import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.automation.jobs import FEATURES, RETRAIN
from churn_assets.automation.runner import Graph, Step, run_all
from churn_assets.build import build_defs
from churn_assets.champion.candidate import describe
from churn_assets.cli.data.group import data
from churn_assets.connectors.open_source import open_source
from churn_assets.evaluation.evaluate import evaluate
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import restore
from churn_assets.lake.versions import TABLES, digest_at
from churn_assets.orchestration.instance import report_restored
from churn_assets.orchestration.run_history import data_versions
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.settings.gate import Gate
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings
from churn_assets.tables import JUDGE
from churn_assets.training.fitting import fit_family
from churn_assets.training.rebuild import rebuild
from churn_assets.training.split import roles_by_customer, roles_by_id
from churn_assets.training.training_set import rows_by_customer
from churn_store.database import schema
from churn_store.database.migrate import migrate
from churn_store.errors import InputError
from churn_store.releases.manifest import TableVersion
from churn_store.releases.resolve import find_manifest
from tests.champion.world import NOW_S, attributes, built_of, document
from tests.champion.world import training_set as labelled_rows

pytestmark = pytest.mark.integration

CONFIGURATION = "company: small\nsource: {kind: synthetic, customers: 900, monthly_churn: 0.1}\n"


@dataclass(frozen=True)
class Trained:
    """A company whose model serves; ``recorded``: what its runs told Dagster of each table's periods."""

    graph: Graph
    settings: Settings
    store: ServingStore
    lake: Lake
    recorded: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("company")
    (folder / "churn.yaml").write_text(CONFIGURATION)
    settings = Settings(
        company="small",
        home=folder / ".churn",
        source=SyntheticSettings(customers=1_500, monthly_churn=0.1),
        features=Features(first_snapshot=dt.date(2024, 4, 1)),
        training=Training(
            families=("logistic_regression",),
            judging_snapshots=1,
            selecting_snapshots=2,
            training_snapshots=3,
            minimum_rows=50,
        ),
        gate=Gate(auc_floor=0.5, calibration_slope=(0.0, 5.0), calibration_intercept=(-3.0, 3.0), confidence=0.8),
    )
    settings.clock.fix(dt.datetime(2024, 12, 10, tzinfo=dt.UTC))
    migrate(settings.database_url)
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    lake = Lake(settings.lake_url)
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as instance:
        graph = Graph(build_defs(settings), settings, open_source(settings), store, instance)
        assert RETRAIN in {step.job for step in steps_until(graph, RETRAIN)}
        recorded = {table: data_versions(instance, table) for table in TABLES if lake.has(table)}
        for table in ("churn_labels", "customer_features"):  # restated since
            period = lake.periods(table)[2]
            rows = lake.read(table, period)
            other = rows.with_columns(~pl.col("churned")) if table == "churn_labels" else rows.head(rows.height // 2)
            lake.replace(table, {period: other}, run_id="restatement")
        yield Trained(graph, settings, store, lake, recorded)


def steps_until(graph: Graph, job: str) -> list[Step]:
    """Run what is due up to a job; none may fail."""
    found = []
    for step in run_all(graph, started=lambda _: None):
        assert step.error is None, f"{step.job}: {step.error}"
        found.append(step)
        if step.job == job:
            break
    return found


@pytest.fixture
def command(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("CHURN_CONFIG", str(trained.settings.home.parent / "churn.yaml"))
    return CliRunner()


def names(trained: Trained) -> dict[str, str]:
    """What a person may type for the one model."""
    with trained.store.engine.connect() as connection:
        [candidate] = connection.execute(schema.blessings.select()).all()
    digest = candidate.candidate
    _, manifest = find_manifest(trained.store.engine, trained.store.files, digest)
    return {
        "candidate": digest,
        "beginning": digest[:8].upper(),
        "registry": f"{manifest.mlflow['model']}/{manifest.mlflow['model_version']}",
    }


def test_it_is_equal_row_for_row_though_labels_and_features_were_restated(trained: Trained) -> None:
    _, manifest = find_manifest(trained.store.engine, trained.store.files, names(trained)["candidate"])
    assert manifest.tables["churn_labels"].version == trained.lake.version("churn_labels") - 1
    again = rebuild(trained.lake, manifest)
    assert again.is_equal, again.comparison
    assert again.rows.equals(trained.lake.read("training_set", "all"))
    assert again.roles["select"] > 0


def test_the_command_takes_any_name_of_a_model_and_writes_the_rows(
    trained: Trained, command: CliRunner, tmp_path: Path
) -> None:
    for name in names(trained).values():
        result = command.invoke(
            data, ["training-set", name, "--out", str(tmp_path / "rows.parquet")], catch_exceptions=False
        )
        assert (result.exit_code, "equal, row for row" in result.output) == (0, True), result.output
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(trained.lake.read("training_set", "all"))


def test_the_epoch_of_a_release_names_it(trained: Trained) -> None:
    row = trained.store.newest()
    assert row is not None
    assert find_manifest(trained.store.engine, trained.store.files, "1")[0] == row.champion


def test_another_label_than_the_manifest_knows_is_counted_and_ends_with_status_1(
    trained: Trained, command: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = find_manifest(trained.store.engine, trained.store.files, names(trained)["candidate"])
    restated = trained.lake.version("churn_labels")
    monkeypatch.setitem(manifest.tables, "churn_labels", type(manifest.tables["churn_labels"])(restated))
    again = rebuild(trained.lake, manifest)
    changed = trained.lake.read("churn_labels", trained.lake.periods("churn_labels")[2]).height
    assert not again.is_equal
    assert "not equal: digest" in again.comparison
    assert f"have other values in churned ({changed:,} rows)" in again.comparison
    monkeypatch.setattr("churn_store.releases.resolve.find_manifest", lambda *_: ("0" * 64, manifest))
    assert command.invoke(data, ["training-set", "1"]).exit_code == 1


@pytest.mark.parametrize("name", ["77", "abc", "ffff", "churn/99", "/", "zzzzzz"])
def test_a_name_that_is_no_model_is_one_sentence(trained: Trained, name: str) -> None:
    with pytest.raises(InputError, match=r"expected an epoch|name an epoch"):
        find_manifest(trained.store.engine, trained.store.files, name)


def test_the_digest_of_rows_in_the_lake_is_the_one_that_their_run_told_dagster(trained: Trained) -> None:
    assert {"customers", "events", "payments", "events_quarantine", "customer_features"} <= set(trained.recorded)
    found = {
        table: {period: digest_at(table, trained.lake.read(table, period, version=0)) for period in periods}
        for table, periods in trained.recorded.items()
    }
    assert found == trained.recorded


def test_after_a_restore_what_hangs_on_other_rows_is_made_again_and_what_has_its_rows_back_is_not(trained: Trained) -> None:
    lake, graph = trained.lake, trained.graph
    list(steps_until(graph, FEATURES))  # whatever another test wrote past Dagster is lost, and is made again first
    known = lake.version("events")
    period = lake.periods("events")[-1]
    lake.replace(
        "events", {period: lake.read("events", period).filter(pl.int_range(pl.len()) % 10 != 0)}, run_id="a mishap"
    )

    def restored(version: int) -> bool:
        """Bring a version back; whether the features are made again."""
        done = restore(lake, "events", version)
        report_restored(
            graph.instance,
            lake,
            "events",
            done.periods,
            of=version,
            version=done.version,
        )
        return not steps_until(graph, FEATURES)[-1].skipped

    assert not restored(known)
    assert restored(known + 1)


@pytest.mark.parametrize(
    "rule",
    ["equal rows together", "by the id alone", "no equal rows", "together, and a feature is constant in training alone"],
)
def test_of_data_without_time_the_split_is_that_of_the_manifest(tmp_path: Path, rule: str) -> None:
    """Also of a release from before equal rows were kept together, whose manifest says nothing of them."""
    lake = Lake(str(tmp_path))
    training = Training(seed=7, held_out_share=0.25, minimum_rows=50)
    rows = labelled_rows().drop("snapshot_s", "role", "noise", "leak").head(600).unique(["spend", "plan"])
    rows = rows.with_columns(visits=3.0)
    copies = rows.head(0 if rule == "no equal rows" else 90)
    rows = pl.concat([rows, copies]).with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len()))).sort("customer_id")
    if "in training alone" in rule:  # a row is no copy of one that differs in a feature which the model does not take
        judges = roles_by_id(rows["customer_id"], training) == JUDGE
        differs = judges & (pl.int_range(rows.height, eager=True) % 2 == 0)
        rows = rows.with_columns(visits=pl.when(differs).then(4.0).otherwise(3.0))
    names = [feature.name for feature in attributes()]
    lake.replace("customer_features", {"all": rows.select("customer_id", *names, unused=pl.lit(1.0))}, run_id="r")
    lake.replace("churn_labels", {"all": rows.select("customer_id", "churned")}, run_id="r")
    versions = {"customer_features": 0, "churn_labels": 0}
    used = rows_by_customer(lake, versions, training, inputs=names).select("customer_id", *names, "churned", "role")
    assert used["role"].equals(roles_by_customer(used, training))
    own = roles_by_id(used["customer_id"], training)
    assert used["role"].equals(own) is (rule == "no equal rows")
    settings = Settings(company="small", training=training)
    made_of = TableVersion(0, digest_at("training_set", used))
    fitted = fit_family("logistic_regression", used, attributes(), settings.fitting, data=made_of)
    candidate = built_of(fitted, used)
    manifest = describe(
        candidate,
        company=settings.company,
        purpose=settings.purpose,
        settings=settings.fitting,
        chosen=document(fitted),
        training_set=used,
        metrics={},
        evaluation=evaluate(
            used,
            candidate.scorer,
            threshold=fitted.threshold,
            profit=settings.profit,
            evaluation=settings.evaluation,
            seed=settings.training.seed,
        ),
        tables={"training_set": made_of, **{t: TableVersion(0) for t in versions}},
        mlflow={},
        now_s=NOW_S,
    )
    assert fitted.constant == ("visits",)
    if rule == "by the id alone":
        used = used.with_columns(role=own)
        older = TableVersion(0, digest_at("training_set", used))
        said = manifest.split.replace(", equal rows together", "")
        manifest = msgspec.structs.replace(manifest, split=said, tables={**manifest.tables, "training_set": older})
    assert ("equal rows together" in manifest.split) is ("together" in rule)
    lake.replace("training_set", {"all": used}, run_id="r")
    lake.replace("churn_labels", {"all": rows.select("customer_id", ~pl.col("churned"))}, run_id="restated")
    again = rebuild(lake, manifest)
    assert again.is_equal, again.comparison
    assert again.rows.equals(used)
