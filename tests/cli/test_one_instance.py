"""Every command uses one Dagster instance, that of DAGSTER_HOME or of the folder, says which, and refuses another company's."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result

from churn_assets.cli.dev import run_dev
from churn_assets.cli.train import TrainingRequest, run_train
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.ownership import claim, owner_of
from churn_assets.resources.service_process import free_port
from churn_assets.settings.company import Settings
from churn_store.cli.main import churn
from churn_store.errors import InputError
from tests.champion.world import training_set

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
WRONG_USE = 2


def company(folder: Path, name: str) -> Path:
    """A company of three customers: enough to ingest, too few to train on."""
    folder.mkdir()
    for file in ("dagster.yaml", "workspace.yaml"):
        (folder / file).write_text((ROOT / file).read_text())
    (folder / "customers.csv").write_text("id,left,visits\na,Yes,1\nb,No,2\nc,No,3\n")
    columns = {"path": "customers.csv", "columns": {"customer_id": "id"}, "label": {"column": "left"}}
    attributes = {"visits": {"column": "visits", "kind": "number"}}
    source = {"kind": "files", "shape": "table", "customers": {**columns, "attributes": attributes}}
    (folder / "churn.yaml").write_text(yaml.safe_dump({"company": name, "source": source}))
    return folder


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("CHURN_CONFIG", raising=False)
    return company(tmp_path / "acme", "acme")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME beside the companies, with Dagster's own defaults."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(churn, arguments)


def jobs_of(folder: Path) -> list[str]:
    with instance_of(folder) as instance:
        return [run.job_name for run in reversed(instance.get_runs())]


def test_the_demo_uses_the_instance_of_the_folder_and_says_so(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(acme)
    said = run("demo").output
    assert f"runs are kept in the Dagster instance of {acme}" in said
    assert jobs_of(acme)[0] == "ingest"


def test_the_demo_obeys_dagster_home_and_refuses_that_of_another_company(
    acme: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(acme)
    said = run("demo").output
    assert f"runs are kept in the Dagster instance of DAGSTER_HOME={home}" in said
    assert not (acme / ".dagster").exists()
    before = jobs_of(home)
    assert before[0] == "ingest"
    shop = company(tmp_path / "shop", "shop")
    monkeypatch.chdir(shop)
    refused = run("demo")
    assert isinstance(refused.exception, InputError) or refused.exit_code == WRONG_USE
    said = f"{refused.output} {refused.exception}"
    assert f"DAGSTER_HOME={home} holds the history of company acme with the lake {acme / '.churn' / 'lake'}" in said
    assert f"churn.yaml is of company shop with the lake {shop / '.churn' / 'lake'}" in said
    assert jobs_of(home) == before


def test_training_restoring_and_the_ui_are_refused_too(
    acme: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance_of(acme) as instance:
        claim(instance, "acme", str(acme / ".churn" / "lake"))
    shop = company(tmp_path / "shop", "shop")
    monkeypatch.chdir(shop)
    Lake(Settings.load().lake_url).replace("training_set", {"all": training_set().head(5)}, run_id="r")
    with pytest.raises(InputError, match="history of company acme"):
        run_train(shop, TrainingRequest("logistic_regression"), judge=False)
    with pytest.raises(InputError, match="history of company acme"):
        run_dev(shop, ui_port=free_port(), port=free_port())
    restoring = run("data", "restore", "training_set", "0")
    assert "history of company acme" in f"{restoring.output} {restoring.exception}"
    assert "history of company acme" in run("doctor").output


def test_the_command_itself_ends_with_one_line_and_status_2(
    acme: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance_of(acme) as instance:
        claim(instance, "acme", str(acme / ".churn" / "lake"))
    shop = company(tmp_path / "shop", "shop")
    command = [str(Path(sys.executable).with_name("churn")), "demo"]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == WRONG_USE
    [line] = done.stderr.splitlines()
    assert "holds the history of company acme" in line


def test_a_renamed_company_is_adopted_when_somebody_says_so(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(acme)
    with instance_of(acme) as instance:
        claim(instance, "acme", Settings.load().lake_url)
    described = yaml.safe_load((acme / "churn.yaml").read_text())
    (acme / "churn.yaml").write_text(yaml.safe_dump({**described, "company": "acme_ltd"}))
    said = run("data", "adopt")
    assert said.exit_code == 0, said.output
    assert "is of company acme_ltd" in said.output
    assert "before, of company acme with the lake" in said.output
    with instance_of(acme) as instance:
        owner = owner_of(instance)
        assert owner is not None
        assert owner.company == "acme_ltd"


def test_a_dagster_home_that_is_no_folder_is_refused_in_words(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("relative", str(acme / "absent")):
        monkeypatch.setenv("DAGSTER_HOME", wrong)
        with pytest.raises(InputError, match="expected the absolute path of a folder that is there"):
            instance_of(acme)


def test_every_tick_of_another_companys_graph_is_refused(
    acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from churn_assets.build import build_defs  # noqa: PLC0415

    monkeypatch.chdir(acme)
    settings = Settings.load()
    with dg.DagsterInstance.ephemeral() as instance:
        claim(instance, "shop", str(tmp_path / "lake"))
        for sensor in build_defs(settings).sensors or ():
            assert isinstance(sensor, dg.SensorDefinition)
            with pytest.raises(Exception, match=r"history of company shop|sensor") as refused:
                sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            assert "history of company shop" in f"{refused.value} {refused.value.__cause__}", sensor.name
    timed = Settings(home=tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        claim(instance, "shop", str(tmp_path / "other"))
        for sensor in build_defs(timed).sensors or ():
            assert isinstance(sensor, dg.SensorDefinition)
            with pytest.raises(Exception, match=r"history of company shop|sensor") as refused:
                sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
            assert "history of company shop" in f"{refused.value} {refused.value.__cause__}", sensor.name
