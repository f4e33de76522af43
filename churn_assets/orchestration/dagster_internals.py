"""All private names of Dagster that are used, so that an upgrade is checked in one file.

Belongs here: re-exports, each with its purpose. Does not belong here: code that uses them.
Ruff bans Dagster's private modules everywhere else in the package.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dagster._core.definitions.assets.graph.asset_graph import AssetNode
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.timestamp import TimestampWithTimezone
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus, AssetCheckPartitionInfo
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    MAX_RETRIES_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    WILL_RETRY_TAG,
)
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._daemon.types import DaemonStatus

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
    # The backfills that a person has asked for, whose runs Dagster has not made yet.
    "BulkActionStatus",
    "BulkActionsFilter",
    # The tag of a materialization with its data version, written for each period: Dagster gives a range run one for all.
    "DATA_VERSION_TAG",
    # The end of the partitions, which follows the platform's clock.
    "TimestampWithTimezone",
    # The statuses of runs that are queued or under way.
    "NOT_FINISHED_STATUSES",
    # The state of the daemon, for `churn doctor`. A function, as its module loads the whole daemon.
    "daemon_statuses",
    # Whether DAGSTER_HOME is in force, as Dagster itself reads it.
    "is_dagster_home_set",
    # The tag of a run with the number of times that the daemon may repeat it.
    "MAX_RETRIES_TAG",
    # The launcher of runs, and what it takes to ask a code server for the process of a run.
    "CanCancelExecutionRequest",
    "CanCancelExecutionResult",
    "CheckRunHealthResult",
    "DagsterUserCodeUnreachableError",
    "DefaultRunLauncher",
    "WorkerStatus",
    "deserialize_value",
    # The tags of a run that Dagster will repeat as its worker has died, of the repetition, and of a run of a backfill.
    "BACKFILL_ID_TAG",
    "RETRY_NUMBER_TAG",
    "WILL_RETRY_TAG",
    # The job and code location of a run, by which the Dagster UI finds the runs of a job.
    "RegisteredCodeLocationOrigin",
    "RemoteRepositoryOrigin",
]


SILENT_S = 120.0
"""The silence after which a part of the daemon, which says every 30 seconds that it lives, counts as stopped; Dagster waits for 30 minutes."""


def daemon_statuses(instance: "DagsterInstance") -> "Mapping[str, DaemonStatus]":
    """Whether each part of the daemon that an instance needs is heard of, by name; one that met an error is well all the same."""
    from dagster._daemon.controller import get_daemon_statuses  # noqa: PLC0415

    parts = sorted(instance.get_required_daemon_types())
    return get_daemon_statuses(instance, parts, heartbeat_tolerance_seconds=SILENT_S, ignore_errors=True)
