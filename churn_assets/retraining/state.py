"""What Dagster knows of the graph's state: which periods are there, what was done last.

The bridge between an instance and the plain rules of ``due`` and ``policy``.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.events import DagsterEventType

from churn_assets.settings import Settings

RUN_KEY_LENGTH = 32


def materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The periods of an asset that were materialized."""
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def raw_periods(instance: dg.DagsterInstance, settings: Settings) -> set[str]:
    """The periods that every raw table has."""
    return set.intersection(*(materialized(instance, table) for table in settings.tables))


def data_versions(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """The data version of each period of an asset."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset), DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {period: found[DATA_VERSION_TAG] for period, found in tags.items() if DATA_VERSION_TAG in found}


def data_version(instance: dg.DagsterInstance, asset: str) -> str | None:
    """The data version of an asset without periods."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    found = None if event is None else event.asset_materialization
    return None if found is None or found.tags is None else found.tags.get(DATA_VERSION_TAG)


def newest_metadata(instance: dg.DagsterInstance, asset: str) -> tuple[int, dict[str, Any]] | None:
    """The id and the metadata of an asset's newest materialization."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    if not records or records[0].asset_materialization is None:
        return None
    return records[0].storage_id, {name: value.value for name, value in records[0].asset_materialization.metadata.items()}


def run_key(job: str, *causes: object) -> str:
    """A run key from what caused the run, so that the same cause never asks twice and a new one always does."""
    return f"{job}-{hashlib.sha256(repr(causes).encode()).hexdigest()[:RUN_KEY_LENGTH]}"


def versions_digest(instance: dg.DagsterInstance, assets: Sequence[str]) -> str:
    """A digest of the data versions of all periods of some assets."""
    found = [(asset, sorted(data_versions(instance, asset).items())) for asset in assets]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:RUN_KEY_LENGTH]
