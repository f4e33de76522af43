"""The raw tables: what arrived in a period, as it arrived, checked against its contract before it is written."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from churn_assets.code_version import code_version
from churn_assets.due import require_ended
from churn_assets.materialization import Built, Events, contract_specs, keys_of, write_table
from churn_assets.raw.contracts import labelled_contract, raw_contract
from churn_assets.raw.source import Source, Table
from churn_assets.resources.lake import Lake
from churn_assets.settings import Settings
from churn_assets.wrong_input import wrong_input_is_final
from churn_store.clock import Clock

DESCRIPTIONS: dict[Table, str] = {
    "customers": "Versions of each customer's record: plan, country and what else the source says, by when it became known.",
    "events": "What customers did: sessions, uses, tickets, cancellations, by when it became known.",
    "payments": "Payments that settled, failed or were refunded, in cents, by when it became known.",
}


def raw_assets(
    settings: Settings, partitions: dg.PartitionsDefinition[Any] | None, source: Source
) -> Sequence[dg.AssetsDefinition]:
    """One asset for each raw table that the source has."""
    return [_raw_asset(table, settings, partitions, source) for table in settings.tables]


def _raw_asset(
    table: Table, settings: Settings, partitions: dg.PartitionsDefinition[Any] | None, source: Source
) -> dg.AssetsDefinition:
    contract = raw_contract(table, source.attributes) if settings.has_time else labelled_contract(source.attributes)

    @dg.asset(
        name=table,
        description=DESCRIPTIONS[table]
        if settings.has_time
        else "One row a customer: its attributes, and whether it churned.",
        group_name="raw",
        kinds={settings.source.kind, "deltalake"},
        owners=["team:data"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=contract_specs(table, partitions),
        code_version=code_version("raw"),
    )
    @wrong_input_is_final
    def ingest(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], clock: dg.ResourceParam[Clock]) -> Events:
        built = {}
        keys = keys_of(context)
        if settings.has_time:
            require_ended(settings.calendar, clock.now().date(), keys)
        for key in keys:
            start_s, end_s = settings.calendar.bounds_s(key) if settings.has_time else (0, 0)
            built[key] = Built(source.read(table, start_s, end_s).rows)
        yield from write_table(context, lake, built, contract=contract)

    return ingest
