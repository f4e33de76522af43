"""Of a pool never more than one run at a time, also of the first two on a fresh instance."""

from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
import yaml
from dagster._core.op_concurrency_limits_counter import GlobalOpConcurrencyLimitsCounter
from dagster._core.storage.dagster_run import RunOpConcurrency

from churn_assets.orchestration.pools import BACKGROUND, FEATURES, INGEST, SCORES, ensure_limits

SHIPPED = Path(__file__).parents[2] / "dagster.yaml"


def blocked(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster leaves a second run in the queue, once it has taken a first one of the same pool from it."""
    storage = instance.event_log_storage
    granularity = instance.get_concurrency_config().pool_config.pool_granularity
    counter = GlobalOpConcurrencyLimitsCounter(
        instance, [run, run], [], storage.get_concurrency_keys(), storage.get_pool_limits(), pool_granularity=granularity
    )
    counter.update_counters_with_launched_item(run)
    return counter.is_blocked(run)


@pytest.mark.parametrize("ensured", [False, True])
def test_the_first_two_runs_of_a_pool_are_taken_one_after_the_other(tmp_path: Path, ensured: bool) -> None:
    """Dagster alone takes both; once it no longer does, ``ensure_limits`` can go."""
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    pools = RunOpConcurrency(root_key_counts={INGEST: 1}, has_unconstrained_root_nodes=False, all_pools={INGEST})
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"concurrency": shipped["concurrency"]}) as instance:
        if ensured:
            ensure_limits(instance)
            found = {pool.name: (pool.limit, pool.from_default) for pool in instance.event_log_storage.get_pool_limits()}
            assert found == dict.fromkeys((INGEST, FEATURES, SCORES, BACKGROUND), (1, True))
        assert blocked(instance, dg.DagsterRun("ingest", run_op_concurrency=pools)) is ensured


def test_an_instance_without_limits_is_left_as_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        storage = mock.patch.object(instance.event_log_storage, "initialize_concurrency_limit_to_default")
        with storage as initialize:
            ensure_limits(instance)
        initialize.assert_not_called()
