"""The names of Dagster that are not in its public interface: all of them, so that an upgrade is checked in one file.

Belongs here: re-exports alone, each with what it is needed for. Does not belong here: code that uses them.
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
    # The tags of a run that is for a period, or for a range of them: a schedule requests ranges, and asks for which a run was.
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "PARTITION_NAME_TAG",
    # The type of an asset in the resolved graph, whose code version, parents and kinds the runner reads.
    "AssetNode",
    # The newest result of a check for each period, read in one go; the public interface has one for the whole asset.
    "AssetCheckExecutionRecordStatus",
    "AssetCheckPartitionInfo",
    "PartitionKeyFilter",
    # The tag of a materialization that holds its data version: written for each period of a range, which has one for all.
    "DATA_VERSION_TAG",
    # Which runs are queued or under way.
    "NOT_FINISHED_STATUSES",
    # What `churn doctor` says of the daemon.
    "get_daemon_statuses",
    # Whether DAGSTER_HOME is in force, as Dagster itself reads it.
    "is_dagster_home_set",
    # The tag of a run that says how often the daemon may repeat it.
    "MAX_RETRIES_TAG",
    # Which job of which code location a run is of: by this the Dagster UI finds the runs of a job.
    "RegisteredCodeLocationOrigin",
    "RemoteRepositoryOrigin",
]
