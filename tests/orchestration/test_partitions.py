"""Periods that can exist: by the platform's clock where it is fixed, and no period that could not be made."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from churn_assets.build import build_defs
from churn_assets.orchestration.partitions import Kind, partitions_of
from churn_assets.periods import Cadence, Calendar, text
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label, matures_on
from churn_store.clock import Clock, parse_time

MATURE = timedelta(days=33)
LABEL = Label(kind="inactivity", horizon_days=30, grace_days=3)


def keys(calendar: Calendar, clock: Clock, kind: Kind, first: date | None = None) -> list[str]:
    found = partitions_of(calendar, clock, first=first, kind=kind, known_after=MATURE if kind == "labels" else timedelta(0))
    assert found is not None
    return list(found.get_partition_keys())


@pytest.mark.parametrize("cadence", ["monthly", "weekly", "daily"])
@pytest.mark.parametrize(
    "as_of", ["2023-01-01", "2023-01-05", "2023-02-28", "2023-04-02T23:59:59", "2024-02-29", "2026-01-01"]
)
def test_where_the_clock_is_fixed_the_periods_are_those_that_can_be_made(
    tmp_path: Path, cadence: Cadence, as_of: str
) -> None:
    calendar, clock, first = Calendar(cadence, date(2023, 1, 5)), Clock(tmp_path / "as_of"), date(2023, 2, 10)
    clock.fix(parse_time(as_of, where="test"))
    today = clock.now().date()
    assert keys(calendar, clock, "raw") == [text(key) for key in calendar.complete(today)]
    snapshots = calendar.keys(today, first=first)
    assert keys(calendar, clock, "snapshots", first) == list(map(text, snapshots))
    mature = [text(key) for key in snapshots if matures_on(key, LABEL) <= today]
    assert keys(calendar, clock, "labels", first) == mature


def test_the_clock_may_be_moved_under_definitions_that_are_loaded(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "as_of")
    clock.fix(datetime(2024, 3, 1, tzinfo=UTC))
    found = partitions_of(Calendar("monthly", date(2024, 1, 1)), clock)
    assert found is not None
    assert found.get_partition_keys() == ["2024-01-01", "2024-02-01"]
    clock.fix(datetime(2024, 4, 1, tzinfo=UTC))
    assert found.has_partition_key("2024-03-01")
    assert not found.has_partition_key("2024-04-01")
    clock.follow_wall_time()
    assert found.has_partition_key("2026-01-01")


@pytest.mark.parametrize("cadence", ["monthly", "weekly", "daily"])
def test_by_the_wall_clock_no_period_that_can_be_made_is_left_out(tmp_path: Path, cadence: Cadence) -> None:
    calendar, clock = Calendar(cadence, date(2023, 1, 5)), Clock(tmp_path / "not there")
    today = datetime.now(UTC).date()
    assert set(keys(calendar, clock, "raw")) == {text(key) for key in calendar.complete(today)}
    assert set(keys(calendar, clock, "snapshots")) == {text(key) for key in calendar.keys(today)}
    mature = {text(key) for key in calendar.keys(today) if key + MATURE <= today}
    labels = set(keys(calendar, clock, "labels"))
    assert mature <= labels
    assert len(labels - mature) <= 1


def test_the_graph_loads_before_its_first_period(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.clock.fix(datetime(2023, 6, 1, tzinfo=UTC))
    defs = build_defs(settings)
    job = defs.resolve_job_def("ingest")
    assert job.partitions_def is not None
    assert list(job.partitions_def.get_partition_keys()) == []
