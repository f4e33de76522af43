"""The published facts: each part's verdict follows what the stages keep, what can't be read is unknown, and the service reads it back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from churn_assets.automation.due_sensors import due_stages
from churn_assets.automation.jobs import FACTS
from churn_assets.connectors.open_source import open_source
from churn_assets.facts.assets import facts_assets
from churn_assets.facts.parts import SEGMENTED, drift_part, performance_part, quality_part
from churn_assets.lake.lake import Lake
from churn_assets.monitoring import history
from churn_assets.orchestration.run_history import CAUSE
from churn_assets.quality.findings import write_findings
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from churn_store.monitoring.facts import FOLDER, Verdict, read_facts
from churn_store.storage.digest_store import DigestStore
from tests.api.monitoring_facts import finding, window
from tests.release_factory import NOW_S, make_online, make_release

RELEASE = "a" * 64


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(home=tmp_path)
    migrate(found.database_url)
    return found


@pytest.fixture
def serving(settings: Settings) -> Iterator[ServingStore]:
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    yield store
    store.engine.dispose()


def write_windows(lake: Lake, *windows: Any) -> None:
    periods = {one.window for one in windows}
    frames = {key: history.rows_of([one for one in windows if one.window == key]) for key in periods}
    lake.replace(history.TABLE, frames, run_id="test")


def named(verdicts: list[Verdict]) -> dict[str, tuple[str, str | None]]:
    return {one.name: (one.state, one.snapshot) for one in verdicts}


def test_before_anything_was_judged_everything_is_unknown(lake: Lake, tmp_path: Path) -> None:
    files = DigestStore(str(tmp_path / "releases"))
    parts = (
        drift_part(lake, now_s=NOW_S),
        quality_part(lake, now_s=NOW_S),
        performance_part(lake, files, release=None, now_s=NOW_S),
    )
    verdicts = [one for part in parts for one in part.verdicts]
    assert [one.name for one in verdicts] == ["drift", "served_drift", "quality", "performance"]
    assert {one.state for one in verdicts} == {"unknown"}
    assert not any(part.found for part in parts)


def test_drift_is_that_of_the_newest_window_of_all_customers(lake: Lake) -> None:
    calm = window(RELEASE, state="fine", since=None)
    write_windows(
        lake,
        window(RELEASE, window="2026-01-01"),
        calm,
        window(RELEASE, segment="plan=pro"),
        window(RELEASE, window="2026-01-01", of="served"),
    )
    part = drift_part(lake, now_s=NOW_S)
    assert named(part.verdicts) == {"drift": ("fine", "2026-02-01"), "served_drift": ("attention", "2026-01-01")}
    assert len(part.found) == 4


def test_windows_by_segment_are_published_of_fewer_periods(lake: Lake) -> None:
    keys = [f"2025-{month:02}-01" for month in range(1, 13)] + [f"2026-{month:02}-01" for month in range(1, 5)]
    write_windows(lake, *(window(RELEASE, window=key, segment=one) for key in keys for one in (None, "plan=pro")))
    found = drift_part(lake, now_s=NOW_S).found
    assert len([one for one in found if one.segment is None]) == len(keys)
    assert [one.window for one in found if one.segment] == keys[-SEGMENTED:]


def test_quality_is_that_of_the_newest_period_and_of_what_blocks_any(lake: Lake) -> None:
    def verdict() -> Verdict:
        [one] = quality_part(lake, now_s=NOW_S).verdicts
        return one

    old = finding(period="2025-11-01", blocking=False)
    write_findings(lake, "events", {"2025-11-01": [old], "2025-12-01": []}, run_id="test")
    assert (verdict().state, verdict().snapshot) == ("fine", "2025-12-01")
    assert verdict().sentence == "nothing is broken in events 2025-12-01"
    write_findings(
        lake,
        "payments",
        {"2025-12-01": [finding(table="payments", period="2025-12-01", kind="unknown", blocking=False)]},
        run_id="test",
    )
    assert verdict().state == "unknown"
    assert [one.kind for one in quality_part(lake, now_s=NOW_S).found] == ["nulls", "unknown"]
    write_findings(lake, "payments", {"2026-01-01": []}, run_id="test")
    assert [one.kind for one in quality_part(lake, now_s=NOW_S).found] == ["nulls"]
    assert verdict().state == "fine"
    write_findings(lake, "events", {"2025-11-01": [finding(period="2025-11-01")]}, run_id="test")
    assert verdict().state == "attention"
    assert verdict().sentence == "events 2025-11-01: value is empty in 40 %"
    write_findings(lake, "events", {"2025-11-01": []}, run_id="test")
    assert verdict().state == "fine"


@pytest.mark.parametrize("table", [history.TABLE, "quality_findings", "performance_history"])
def test_a_table_that_is_damaged_is_unknown_and_says_why(lake: Lake, tmp_path: Path, table: str) -> None:
    write_windows(lake, window(RELEASE))
    write_findings(lake, "events", {"2025-12-01": []}, run_id="test")
    if table == "performance_history":
        lake.replace(table, {"2026-01-01": lake.read("quality_findings", "events")}, run_id="test")
    for log in (tmp_path / "lake" / table / "_delta_log").glob("*.json"):
        log.write_text("{", encoding="utf-8")
    files = DigestStore(str(tmp_path / "releases"))
    verdicts = {
        one.name: one
        for part in (
            drift_part(lake, now_s=NOW_S),
            quality_part(lake, now_s=NOW_S),
            performance_part(lake, files, release=None, now_s=NOW_S),
        )
        for one in part.verdicts
    }
    damaged = {history.TABLE: "drift", "quality_findings": "quality", "performance_history": "performance"}
    assert verdicts[damaged[table]].state == "unknown"
    assert "can't be read" in verdicts[damaged[table]].sentence
    fine = {"drift": "attention", "quality": "fine"}
    assert all(verdicts[name].state == state for name, state in fine.items() if name != damaged[table])


def test_what_is_published_is_read_back_and_a_store_that_gives_something_else_fails_the_check(
    settings: Settings, serving: ServingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_release(serving.engine, serving.files)
    make_online(serving.online_url)
    write_windows(Lake(settings.lake_url), window(row.champion))
    asset: Any
    [asset] = facts_assets(company="Acme", has_time=True)

    def materialized() -> tuple[dict[str, Any], dg.AssetCheckResult]:
        result, check = asset(dg.build_asset_context(), lake=Lake(settings.lake_url), clock=settings.clock, serving=serving)
        return dict(result.metadata), check

    metadata, check = materialized()
    assert check.passed
    found = read_facts(serving.files)
    assert found is not None
    assert (found.company, found.release) == ("Acme", row.champion)
    assert named(found.verdicts)["drift"] == ("attention", "2026-02-01")
    assert [one.name for one in found.verdicts] == ["drift", "served_drift", "quality", "performance", "skew"]
    assert metadata["drift"] == "attention"
    assert metadata["windows"] == 1
    pointer = Path(settings.releases_url) / FOLDER / "current.json"
    former = pointer.read_bytes()
    monkeypatch.setattr(DigestStore, "point", lambda _, content: pointer.write_bytes(former[:20]))
    _, check = materialized()
    assert (check.passed, "their pointer is torn" in str(check.description)) == (False, True)


def test_the_facts_are_asked_for_once_for_each_newer_report_finding_or_release(
    settings: Settings, serving: ServingStore
) -> None:
    asks = due_stages(settings, open_source(settings), settings.clock, serving)[FACTS].requests

    def asked(instance: dg.DagsterInstance) -> dg.RunRequest | None:
        [answer] = asks(instance)
        return answer if isinstance(answer, dg.RunRequest) else None

    def done(instance: dg.DagsterInstance, request: dg.RunRequest | None) -> None:
        assert request is not None
        instance.create_run_for_job(_empty, tags=request.tags, status=dg.DagsterRunStatus.SUCCESS)

    with dg.DagsterInstance.ephemeral() as instance:
        assert asked(instance) is None
        write_findings(Lake(settings.lake_url), "events", {"2025-12-01": []}, run_id="test")
        first = asked(instance)
        done(instance, first)
        assert asked(instance) is None
        for report in ("drift_report", "performance_report"):
            instance.report_runless_asset_event(dg.AssetMaterialization(report))
            done(instance, asked(instance))
            assert asked(instance) is None
        make_release(serving.engine, serving.files)
        last = asked(instance)
        assert last is not None
        assert first is not None
        assert last.run_key != first.run_key
        assert last.tags[CAUSE] != first.tags[CAUSE]
        for _ in range(3):
            instance.create_run_for_job(_empty, tags=last.tags, status=dg.DagsterRunStatus.FAILURE)
        assert asked(instance) is None
        for log in (settings.home / "lake" / "quality_findings" / "_delta_log").glob("*.json"):
            log.write_text("{", encoding="utf-8")
        done(instance, asked(instance))
        assert asked(instance) is None


@dg.job(name=FACTS)
def _empty() -> None:
    """Stands for the job of the same name."""
