"""All private names of Dagster that are used, so that an upgrade is checked in one file.

Belongs here: re-exports alone, each with its purpose. Does not belong here: code that uses them.
Ruff bans Dagster's private modules everywhere else in the package.
"""

from dagster._core.definitions.assets.graph.asset_graph import AssetNode
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus, AssetCheckPartitionInfo
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    MAX_RETRIES_TAG,
    PARTITION_NAME_TAG,
)
from dagster._daemon.controller import get_daemon_statuses

__all__ = [
    # The tags of a run with its period or range of periods: a schedule sets them in requests, and reads them from earlier runs.
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "PARTITION_NAME_TAG",
    # The type of an asset in the resolved graph, whose code version, parents and kinds the runner reads.
    "AssetNode",
    # The newest result of a check for each period, read at once; the public interface has only one for the whole asset.
    "AssetCheckExecutionRecordStatus",
    "AssetCheckPartitionInfo",
    "PartitionKeyFilter",
    # The tag of a materialization with its data version, written for each period: Dagster gives a range run one for all.
    "DATA_VERSION_TAG",
    # The statuses of runs that are queued or under way.
    "NOT_FINISHED_STATUSES",
    # The state of the daemon, for `churn doctor`.
    "get_daemon_statuses",
    # Whether DAGSTER_HOME is in force, as Dagster itself reads it.
    "is_dagster_home_set",
    # The tag of a run with the number of times that the daemon may repeat it.
    "MAX_RETRIES_TAG",
    # The job and code location of a run, by which the Dagster UI finds the runs of a job.
    "RegisteredCodeLocationOrigin",
    "RemoteRepositoryOrigin",
]
