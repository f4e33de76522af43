"""A backfill as a person launches it in the Dagster UI."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id


def launch_backfill(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph[Any],
    assets: Sequence[str],
    periods: Sequence[str],
    *,
    at_s: float,
) -> str:
    """Ask for periods of assets, and return the id of the backfill.

    Args:
        instance: instance whose daemon makes the runs.
        graph: asset graph of the company.
        assets: names of the assets.
        periods: keys of the periods.
        at_s: wall time in epoch seconds.
    """
    asked = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=graph,
        partition_names=periods,
        asset_selection=[dg.AssetKey(name) for name in assets],
        backfill_timestamp=at_s,
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(asked)
    return asked.backfill_id
