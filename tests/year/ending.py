"""How every year ends: the troubles are mended, everything comes to rest, and the lake is that of an untroubled year.

Belongs here: what people do to mend, and the comparison. Does not belong here: what holds all the time (``invariants``).
"""

import dagster as dg

from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import materialized
from tests.year import people
from tests.year.invariants import BrokenError, assert_invariants, require
from tests.year.world import COMPARED, Digests, World

BY_HAND = (["customers", "events", "payments"], ["customer_features"], ["churn_labels"])
ROUNDS = 4


def assert_ended_well(world: World) -> None:
    """Mend, come to rest, and compare.

    Raises:
        BrokenError: if something does not hold.
    """
    world.mend_rules()
    world.feed.mend()
    world.come_to_rest()
    assert_invariants(world)
    world.step_is_over()
    _what_was_given_up_is_done_by_hand(world)
    assert world.untroubled is not None
    expected, found = world.untroubled.at[world.month], world.digests()
    for table in COMPARED:
        missing = sorted(set(expected[table]) - set(found[table]))
        require(not missing, f"{table} lacks {', '.join(missing)} in the end")
        more = sorted(set(found[table]) - set(expected[table]))
        require(not more, f"{table} has {', '.join(more)}, which an untroubled year has not")
        other = [period for period in expected[table] if expected[table][period] != found[table][period]]
        require(not other, f"{table} {', '.join(other)} has other rows than in an untroubled year")
        gone = lost(world.daemon.instance, world.lake, table)
        require(not gone, f"{table} {', '.join(gone)} is still lost: {gone}")
    _the_service_follows(world)
    assert_invariants(world)


def _what_was_given_up_is_done_by_hand(world: World) -> None:
    """What a person has cancelled, and what has failed too often, is for a person to do; nothing else may be missing."""
    assert world.untroubled is not None
    expected = world.untroubled.at[world.month]
    for _ in range(ROUNDS):
        found = world.digests()
        todo = next(
            ((assets, periods) for assets in BY_HAND if (periods := _other_than_expected(world, assets, expected, found))),
            None,
        )
        if todo is None:
            return
        assets, periods = todo
        for period in periods:
            require(
                world.given_up(assets, period),
                f"{', '.join(assets)} {period} is not as in an untroubled year, and no person has cancelled it: nothing asks for it. "
                f"{world.runs_in_words(assets, period)}",
            )
            people.backfill(world, assets, [period])
        world.come_to_rest()
    raise BrokenError(f"what was done by hand did not help: {todo}")


def _other_than_expected(world: World, assets: list[str], expected: Digests, found: Digests) -> list[str]:
    """The periods that some of the assets lack, or have with other rows."""
    instance, lake = world.daemon.instance, world.lake
    whole = {asset: materialized(instance, asset) - set(lost(instance, lake, asset)) for asset in assets}
    return sorted(
        {
            period
            for asset in assets
            for period, digest in expected[asset].items()
            if period not in whole[asset] or found[asset].get(period) != digest
        }
    )


def _the_service_follows(world: World) -> None:
    """The service answers from the newest release, and every answer is in the log once."""
    service = world.service
    service.poll()
    newest = world.serving.newest()
    current = service.poller.current
    require(
        (None if current is None else current.row) == newest, f"the service serves {current}, the newest row is {newest}"
    )
    service.ship()
    require(not list((service.folder / "spool").glob("*.jsonl")), "the spool is not empty after it was shipped")
    runs = world.daemon.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    require(not runs, f"runs are under way for ever: {[run.job_name for run in runs]}")
