"""`drift_history`: which windows a run judges, what it keeps, and the alerts that it opens and closes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.lake.lake import Lake
from churn_assets.monitoring import judged_windows
from churn_assets.monitoring.assets import monitoring_assets
from churn_assets.monitoring.history import TABLE, drift_windows
from churn_assets.monitoring.reference_rows import reference_rows
from churn_assets.orchestration.lost_periods import lost
from churn_assets.periods import Calendar
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.tables import SCORE
from churn_store.alerts.log import newest_alerts, open_alerts
from churn_store.database.schema import prediction_log
from churn_store.monitoring.baselines import baseline_of, pin
from churn_store.monitoring.facts import DriftWindow
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import newest
from tests.champion.world import attributes, built_of, company_of_one_table, fitted, released, staged, training_set

pytestmark = pytest.mark.integration
KEYS = [f"2025-{month:02}-01" for month in range(1, 9)]
MOVED = pl.col("visits") + 20


@dataclass
class Home:
    """A company with a history whose release serves."""

    settings: Settings
    lake: Lake
    store: ServingStore
    instance: dg.DagsterInstance

    def features(self, moved: tuple[str, ...] = (), keys: list[str] = KEYS, rows: int = 600) -> None:
        """Write the features of some snapshots."""
        whole = training_set(seed=3).select(
            pl.format("n{}", pl.int_range(pl.len())).alias("customer_id"), "visits", "spend", "plan"
        )
        frames = {key: whole.sample(rows, seed=place) for place, key in enumerate(keys)}
        shifted = {key: frame.with_columns(visits=MOVED) if key in moved else frame for key, frame in frames.items()}
        self.lake.replace("customer_features", shifted, run_id="test")

    def run(self, key: str) -> dg.ExecuteInProcessResult:
        """Materialize the history for a snapshot."""
        history, *_ = monitoring_assets(
            attributes(),
            dg.StaticPartitionsDefinition(KEYS),
            company="small",
            timeline=Calendar("monthly", date(2025, 1, 1)),
            monitoring=self.settings.monitoring,
            evaluation=self.settings.evaluation,
            seed=1,
        )
        return dg.materialize(
            [history],
            partition_key=key,
            instance=self.instance,
            resources={"lake": self.lake, "clock": self.settings.clock, "serving": self.store},
        )

    def windows(self, **said: Any) -> list[DriftWindow]:
        """The windows of the table that have some fields."""
        found = drift_windows(self.lake, 99)
        return [one for one in found if all(getattr(one, name) == value for name, value in said.items())]

    def release(self, seed: int) -> str:
        """Let another model serve."""
        rows = training_set(seed)
        chosen = fitted("logistic_regression", rows, attributes())
        candidate = built_of(chosen, rows)
        released(self.store.engine, self.store.files, staged(self.store.files, candidate, chosen, rows))
        row = newest(self.store.engine)
        assert row is not None
        return row.champion


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    settings = company_of_one_table(tmp_path, monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
        made = Home(settings, Lake(settings.lake_url), serving, instance)
        made.release(0)
        yield made


def test_the_first_run_fills_the_newest_windows_and_later_runs_add_one(home: Home) -> None:
    home.features(moved=("2025-05-01", "2025-06-01"), keys=KEYS[:6])
    assert home.run("2025-06-01").success
    everyone = home.windows(segment=None)
    assert [one.window for one in everyone] == KEYS[:6]
    assert [one.state for one in everyone] == ["unknown", "fine", "fine", "fine", "fine", "attention"]
    assert [one.since for one in everyone] == [None] * 4 + ["2025-05-01"] * 2
    assert everyone[0].unusual is None
    assert everyone[4].unusual == 1.0
    assert everyone[-1].verdict == "visits drifted in at least 2 of 3 judged windows"
    assert {move.feature for move in everyone[-1].features} == {"visits", "spend", "plan", "score"}
    assert sum(move.importance or 0 for move in everyone[-1].features) == pytest.approx(1)
    segments = home.windows(window="2025-06-01", of="snapshot")
    assert [one.segment for one in segments] == [None, "plan=free", "plan=pro"]
    assert {one.window for one in home.windows(segment="plan=pro")} == set(KEYS[3:6])
    assert lost(home.instance, home.lake, TABLE) == {}
    version = home.lake.version(TABLE)
    home.features(moved=("2025-05-01", "2025-06-01"), keys=KEYS[:7])
    assert home.run("2025-07-01").success
    assert home.lake.version(TABLE) == version + 1
    assert home.windows(segment=None)[:6] == everyone
    assert lost(home.instance, home.lake, TABLE) == {}


def test_another_release_or_baseline_judges_the_newest_windows_again_and_older_ones_stay(home: Home) -> None:
    home.features()
    first = newest(home.store.engine).champion
    home.run(KEYS[-1])
    second = home.release(1)
    home.run(KEYS[-1])
    assert {one.release for one in home.windows()} == {second}
    pin(home.store.engine, home.store.files, first, by="ada", reason="the season", now_s=1)
    home.run(KEYS[-1])
    assert {one.baseline for one in home.windows()} == {first}
    bundle = home.store.champion()
    assert bundle is not None
    rows = reference_rows(home.store.files, bundle, baseline_of(home.store.engine, second))
    assert rows[SCORE].to_list() == bundle.scorer.score_frame(rows).tolist()


def test_an_alert_is_opened_once_while_drift_stays_and_closed_when_it_is_over(home: Home) -> None:
    moved = ("2025-03-01", "2025-04-01", "2025-05-01")
    home.features(moved=moved)
    for key in ("2025-04-01", "2025-05-01"):
        home.run(key)
    [alert] = open_alerts(home.store.engine)
    assert (alert.alert.kind, alert.occurrence, alert.alert.snapshot) == ("drift", 1, "2025-05-01")
    assert "since 2025-03-01" in alert.alert.sentence
    for key in ("2025-06-01", "2025-07-01"):
        home.run(key)
    assert open_alerts(home.store.engine) == []
    [closed] = newest_alerts(home.store.engine, limit=9)
    assert closed.closed_because.startswith("no drift in 2025-07-01")


def test_a_comparison_that_fails_is_an_unknown_window_with_an_alert_and_is_judged_when_it_works_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.features()

    def broken(*_: object) -> object:
        raise ZeroDivisionError("c17 has no visits")

    with monkeypatch.context() as patched:
        patched.setattr(judged_windows, "compare", broken)
        assert home.run(KEYS[-1]).success
    assert {one.state for one in home.windows()} == {"unknown"}
    assert home.windows()[-1].verdict.endswith("failed (ZeroDivisionError)")
    [alert] = open_alerts(home.store.engine)
    assert (alert.alert.kind, alert.alert.severity) == ("unknown", "critical")
    assert "c17" not in alert.alert.sentence
    home.run(KEYS[-1])
    assert open_alerts(home.store.engine) == []
    assert home.windows(segment=None)[-1].state == "fine"


def test_without_a_reference_nothing_is_judged_and_an_alert_says_so(home: Home, tmp_path: Path) -> None:
    home.features()
    manifest = load_manifest(home.store.files, newest(home.store.engine).champion)
    whole = home.store.champion()
    for file in tmp_path.rglob(f"*{manifest.files['reference.parquet'].sha256}*"):
        file.unlink()
    home.store.champion = lambda: whole  # type: ignore[method-assign]
    assert home.run(KEYS[-1]).success
    assert {one.state for one in home.windows()} == {"unknown"}
    [alert] = open_alerts(home.store.engine)
    assert "which drift is measured against, can't be read" in alert.alert.sentence


def test_served_requests_are_judged_by_the_period_in_which_they_were_answered(home: Home) -> None:
    home.features()
    answered(home, {"2025-07-01": True, "2025-06-01": False})
    assert home.run(KEYS[-1]).success
    served = home.windows(of="served", segment=None)
    assert [(one.window, one.rows) for one in served] == [("2025-06-01", 300), ("2025-07-01", 300)]
    assert [[move.feature for move in one.features if move.drifted] for one in served] == [[], ["visits"]]
    assert served[1].mean_score == pytest.approx(0.25)
    assert [one.of for one in home.windows(window="2025-07-01", segment=None)] == ["served", "snapshot"]


def answered(home: Home, moved: dict[str, bool]) -> None:
    """Log 300 answers in each period, of the serving release and of another."""
    release = newest(home.store.engine).champion
    rows = training_set(seed=5).sample(300, seed=1)
    calendar = Calendar("monthly", date(2025, 1, 1))
    with home.store.engine.begin() as connection:
        for key, is_moved in moved.items():
            inputs = rows.with_columns(visits=MOVED) if is_moved else rows
            for of in (release, "0" * 64):
                connection.execute(
                    prediction_log.insert(),
                    [
                        {
                            "request_id": f"{key}-{of[:4]}-{place}", "item": 0, "answered_s": calendar.bounds_s(key)[0] + place,
                            "customer_id": f"c{place}" if place % 2 else None, "release": of, "epoch": 1, "role": "champion",
                            "probability": 0.25, "churn": False, "threshold": 0.5, "features": features, "latency_us": 1,
                        }
                        for place, features in enumerate(inputs.select("visits", "spend", "plan").iter_rows(named=True))
                    ],
                )  # fmt: skip
