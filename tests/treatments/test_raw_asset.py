"""The raw asset of a company's campaigns: there only where the company has such a table, and not judged as a feed that comes alike each month."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from churn_assets.build import build_defs
from churn_assets.quality.check import QUALITY
from churn_assets.raw.quarantine import EMPTY, SHARE
from churn_assets.settings.company import Settings
from churn_assets.simulator.campaigns import Campaign
from churn_assets.simulator.source import SyntheticSettings


def graph_of(folder: Path, *campaigns: Campaign) -> Any:
    settings = Settings(home=folder, source=SyntheticSettings(customers=100, campaigns=campaigns))
    return build_defs(settings).resolve_asset_graph()


def test_only_a_company_with_campaigns_has_it_and_its_training_set_is_made_of_it(tmp_path: Path) -> None:
    plain, calling = graph_of(tmp_path / "a"), graph_of(tmp_path / "b", Campaign(day=date(2024, 5, 1)))
    own = {dg.AssetKey("treatments"), dg.AssetKey("treatments_quarantine")}
    assert calling.get_all_asset_keys() - plain.get_all_asset_keys() == own
    training_set = dg.AssetKey("training_set")
    assert calling.get(training_set).parent_keys - plain.get(training_set).parent_keys == {dg.AssetKey("treatments")}
    features = dg.AssetKey("customer_features")
    assert calling.get(features).parent_keys == plain.get(features).parent_keys


def test_campaigns_come_and_go_so_a_period_is_not_compared_with_those_before(tmp_path: Path) -> None:
    calling = graph_of(tmp_path, Campaign(day=date(2024, 5, 1)))
    checks = {
        table: {key.name for key in calling.asset_check_keys if key.asset_key == dg.AssetKey(table)}
        for table in ("events", "treatments")
    }
    assert QUALITY in checks["events"]
    assert checks["treatments"] >= {SHARE, EMPTY}
    assert QUALITY not in checks["treatments"]
