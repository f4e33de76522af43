"""What `churn validate` says of training is what training says: refusals word for word, and advice that works when it is followed."""

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from churn_assets.automation.runner import Graph, run_all
from churn_assets.build import build_defs
from churn_assets.cli.validate import validate
from churn_assets.connectors.open_source import open_source
from churn_assets.orchestration.instance import instance_of
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from tests.automation.company import CONFIGURATION, write_company
from tests.bank import CONFIGURATION as BANK
from tests.bank import bank

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]


def report(*arguments: str) -> dict[str, Any]:
    """What the command says of the folder, as a machine reads it."""
    read: dict[str, Any] = json.loads(CliRunner().invoke(validate, ["--json", *arguments]).stdout)
    return read


def merged(configuration: dict[str, Any], settings: str) -> dict[str, Any]:
    """A configuration with advised lines put in."""
    whole = {name: dict(value) if isinstance(value, dict) else value for name, value in configuration.items()}
    for name, value in yaml.safe_load("{" + settings + "}").items():
        whole[name] = {**whole.get(name, {}), **value} if isinstance(value, dict) else value
    return whole


@pytest.mark.parametrize("until", ["2024-06-01", "2024-07-01"])
def test_each_piece_of_advice_for_a_short_history_lets_training_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: str
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=500, until=dt.date.fromisoformat(until))
    short = {
        **CONFIGURATION,
        "features": {"use": "classic"},
        "training": {**CONFIGURATION["training"], "judging_snapshots": 2},
    }
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(short))
    refused = report("--as-of", until)
    assert not refused["fits"]
    assert refused["remedies"]
    for remedy in refused["remedies"]:
        (tmp_path / "churn.yaml").write_text(yaml.safe_dump(merged(short, remedy["settings"])))
        followed = report("--as-of", until)
        assert followed["findings"] == [], remedy["settings"]
        assert followed["roles"] == remedy["roles"], remedy["settings"]


def test_the_day_on_which_a_history_is_long_enough_is_that_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=300, until=dt.date(2024, 12, 1))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({**CONFIGURATION, "features": {"use": "classic"}}))
    assert report("--as-of", "2024-05-01")["remedies"] == [], "four months are too few, whatever is set"
    enough_on = dt.date.fromisoformat(report("--as-of", "2024-06-01")["enough_on"])
    enough = "have mature labels"
    assert not any(enough in finding for finding in report("--as-of", f"{enough_on}")["findings"])
    assert any(enough in finding for finding in report("--as-of", f"{enough_on - dt.timedelta(days=1)}")["findings"])


@pytest.mark.integration
@pytest.mark.parametrize(
    ("rows", "changed"),
    [
        (60, {}),
        (400, {"training": {"single_feature_auc": 0.51}}),
    ],
)
def test_what_validate_refuses_the_graph_refuses_with_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, changed: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    bank(rows, today=rows // 10).write_csv(tmp_path / "customers.csv")
    configuration = {**BANK, **changed}
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(configuration))
    findings = report()["findings"]
    assert findings
    with instance_of(tmp_path) as instance:
        settings = Settings.load()
        migrate(settings.database_url)
        serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
        graph = Graph(build_defs(settings), settings, open_source(settings), serving, instance)
        errors = [step.error for step in run_all(graph, started=lambda _: None) if step.error is not None]
    assert errors[0] in findings
