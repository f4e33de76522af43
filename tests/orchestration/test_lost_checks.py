"""The asset page of a table says what is lost of it: after a run, asked by hand, and where no run was there to see it."""

import dagster as dg
import pytest

from churn_assets.automation.lost_sensor import lost_sensor
from churn_assets.orchestration.lost_checks import CHECK, lost_checks
from churn_assets.orchestration.ownership import claim
from tests.orchestration.test_lost_periods import FEB, JAN, PERIODS, World, log_removed, world, written

pytestmark = pytest.mark.integration

__all__ = ["world", "written"]  # fixtures

COMPANY = "small"


def evaluated(world: World) -> dg.AssetCheckEvaluation:
    """The check, asked by hand."""
    result = dg.materialize(
        [dg.AssetSpec("payments"), *lost_checks(["payments"])],
        instance=world.instance,
        resources={"lake": world.lake},
        selection=dg.AssetSelection.all_asset_checks(),
    )
    [found] = result.get_asset_check_evaluations()
    return found


def test_the_check_passes_with_the_number_of_periods_and_fails_with_the_lost_one_and_the_way_back(world: World) -> None:
    found = evaluated(world)
    assert (found.check_name, found.passed, found.description) == (CHECK, True, f"{len(PERIODS)} periods as written")
    world.file(FEB).unlink()
    found = evaluated(world)
    assert not found.passed
    assert str(found.description).startswith(f"payments {FEB} is lost: ")
    assert "materialize payments again for this period" in str(found.description)
    world.write(FEB)
    assert evaluated(world).passed


def test_a_log_that_is_gone_fails_the_check_with_every_period(world: World) -> None:
    log_removed(world)
    found = evaluated(world)
    assert not found.passed
    assert str(found.description).startswith(f"payments {JAN}, ")


def test_the_sensor_tells_a_loss_once_and_its_return_once(world: World) -> None:
    claim(world.instance, COMPANY, world.lake.url)
    sensor = lost_sensor(["payments"], company=COMPANY, lake_url=world.lake.url)
    cursor: str | None = None

    def tick() -> list[tuple[bool, str]]:
        nonlocal cursor
        said = sensor(dg.build_sensor_context(instance=world.instance, cursor=cursor))
        assert isinstance(said, dg.SensorResult)
        cursor = said.cursor
        told = []
        for event in said.asset_events:
            assert isinstance(event, dg.AssetCheckEvaluation)
            world.instance.report_runless_asset_event(event)
            told.append((event.passed, str(event.description)[:25]))
        return told

    assert tick() == []
    world.file(FEB).unlink()
    lost = f"payments {FEB} is lost"[:25]
    assert tick() == [(False, lost)]
    assert tick() == []
    world.write(FEB)
    assert tick() == [(True, f"{len(PERIODS)} periods as written"[:25])]
    assert tick() == []
