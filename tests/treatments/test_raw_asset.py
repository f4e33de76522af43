"""The raw asset of a company's campaigns: there only where the company has such a table, and not judged as a feed that comes alike each month."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.build import build_defs
from churn_assets.periods import Calendar
from churn_assets.quality.judge import judge
from churn_assets.quality.profile import Profile, profile_of
from churn_assets.settings.company import Settings
from churn_assets.settings.quality import Quality
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


def test_campaigns_come_and_go_so_a_period_is_not_compared_with_those_before() -> None:
    def profile(period: str, rows: int) -> Profile:
        bounds_s = Calendar("monthly", date(2024, 1, 1)).bounds_s(period)
        frame = pl.DataFrame(
            {"customer_id": [f"c{row}" for row in range(rows)], "offer": ["x"] * rows, "known_s": [bounds_s[0] + row for row in range(rows)]},
            schema_overrides={"customer_id": pl.String, "offer": pl.String, "known_s": pl.Int64},
        )  # fmt: skip
        return profile_of(frame, "treatments", period, bounds_s=bounds_s)

    before = [profile(f"2024-{month:02}-01", 400) for month in range(1, 9)]
    nothing = profile("2024-09-01", 0)
    judged = {
        table: judge(nothing, before, table=table, rules=Quality(), cadence="monthly").blocks
        for table in ("events", "treatments")
    }
    assert judged == {"events": True, "treatments": False}
