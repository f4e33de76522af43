"""The raw tables: the rows of a period as they arrived. Rows that break the contract go to a quarantine table, with the reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.contracts import column_types_of
from churn_assets.coverage import require_ended
from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import ensure_normalisation
from churn_assets.lake.versions import LIE_BY
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.pools import INGEST
from churn_assets.orchestration.run_history import data_versions, present
from churn_assets.orchestration.table_writer import Built, Events, Outcome, TableWriter, blocking_checks, keys_of
from churn_assets.periods import ALL, Calendar
from churn_assets.quality.check import CHECKED, QUALITY, outcome_of
from churn_assets.quality.table_quality import TableQuality
from churn_assets.raw.arrivals import arrivals
from churn_assets.raw.contracts import labelled_contract, quarantine_contract, raw_contract
from churn_assets.raw.delivery import Arrived, Ingested
from churn_assets.raw.quarantine import EMPTY, SHARE, as_table, outcomes, parted, quality, unread_outcomes
from churn_assets.settings.quality import Quality
from churn_assets.settings.raw import Raw
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import LABEL, Source, quarantine_of
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.tables import Table

DESCRIPTIONS: dict[Table, str] = {
    "customers": "Versions of each customer's record: plan, country and what else the source says, by when it became known.",
    "events": "What customers did: sessions, uses, tickets, cancellations, by when it became known.",
    "payments": "Payments that settled, failed or were refunded, in cents, by when it became known.",
    "treatments": "Who was called or given an offer, and who was held out on purpose, with the probability, by when it became known.",
}


STAGES = ("raw", "connectors")
"""The stages whose code makes the rows: the connectors count, although this stage knows a source only by its contract."""

ANEW = "churn/anew"
"""The tag, with the value `true`, of a run that loads a source without arrival timestamps as if for the first time."""


def raw_assets(
    source: Source,
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    described: SourceSettings,
    timeline: Calendar | None,
    raw: Raw,
    quality: Quality,
) -> Sequence[dg.AssetsDefinition]:
    """One asset for each raw table of the source: the table and its quarantine.

    Args:
        source: source of the rows.
        partitions: periods of a history.
        described: the section ``source``: its kind, and which tables it has.
        timeline: calendar of a history; `None` where the data has no time.
        raw: the section ``raw``.
        quality: the section ``quality``.
    """
    return [
        _raw_asset(table, source, partitions, kind=described.kind, timeline=timeline, raw=raw, rules=quality)
        for table in described.raw_tables
    ]


def _raw_asset(
    table: Table,
    source: Source,
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    kind: str,
    timeline: Calendar | None,
    raw: Raw,
    rules: Quality,
) -> dg.AssetsDefinition:
    has_time = timeline is not None
    contract = (
        raw_contract(table, source.attributes, source.given(table)) if has_time else labelled_contract(source.attributes)
    )
    quarantine = quarantine_of(table)
    described = (
        DESCRIPTIONS[table]
        if has_time
        else ("One row a customer: its attributes, and whether it churned; today's customers have no label.")
    )
    shared: dict[str, Any] = {
        "group_name": "raw",
        "kinds": {kind, "deltalake"},
        "owners": ["team:data"],
        "code_version": code_version(*STAGES),
    }

    @dg.multi_asset(
        name=table,
        pool=INGEST,
        specs=[
            dg.AssetSpec(table, description=described, **shared),
            dg.AssetSpec(
                quarantine,
                description=f"Rows of {table} that were set aside: the rule, the column and the value that broke it, the whole row.",
                **shared,
            ),
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=blocking_checks(
            table,
            partitions,
            {
                SHARE: f"at most {raw.quarantine_limit:.1%} of the rows break the contract",
                EMPTY: "some rows arrived",
                **({QUALITY: CHECKED} if has_time else {}),
            },
        ),
    )
    @wrong_input_is_final
    def ingest(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], clock: dg.ResourceParam[Clock]) -> Events:
        keys = keys_of(context)
        if timeline is not None:
            require_ended(timeline, clock.now().date(), keys)
        ensure_normalisation(lake)
        anew = context.run.tags.get(ANEW) == "true"
        done = present(context.instance, lake, table) - set(lost(context.instance, lake, quarantine))
        if not anew and done - set(keys):
            lake.refuse_other_columns(table, pl.DataFrame(schema=column_types_of(contract)))
        # Without arrival timestamps a row may move to another period: both periods must then change in one commit.
        apart = not source.says_when_known(table)
        good = TableWriter(context, lake, table, contract, order=LIE_BY.get(table, ()), apart=apart)
        bad = TableWriter(context, lake, quarantine, quarantine_contract(), apart=apart)
        stands = {key: version for key, version in data_versions(context.instance, table).items() if key in done}
        judged = None if timeline is None else TableQuality(lake, table, timeline, rules, versions=stands, rows=good.rows)
        unread: dict[str, InputError] = {}
        for key, arrived in _arrivals(source, table, keys, timeline, Ingested(done, good.rows, bad.rows), anew=anew):
            if isinstance(arrived, InputError):
                unread[key] = arrived
                continue
            split = parted(contract, arrived, table, has_time=has_time)
            end_s = None if timeline is None else timeline.bounds_s(key)[1]
            measures = quality(split, table, end_s=end_s)
            if not has_time:
                measures |= asdict(LabelCounts.of(split.kept[LABEL]))
            bad.add(key, Built(split.set_aside, metadata={"rules": dg.MetadataValue.md(as_table(split.set_aside))}))
            checks = outcomes(split, table, raw)
            if judged is not None:
                checks = {**checks, QUALITY: _quality(judged, key, split.kept, checks)}
            good.add(key, Built(split.kept, checks=checks, metadata=measures))
            if judged is not None:
                judged.stands(key, good.data_version(key))
        if judged is not None:
            judged.unread({key: str(reason) for key, reason in unread.items()})
        if len(unread) == len(keys):
            _finish(judged, context.run_id)
            raise unread[keys[0]]
        for key, reason in unread.items():  # a period that can't be read stops only itself
            good.refuse(key, unread_outcomes(reason, besides=[QUALITY] if has_time else []))
            bad.add(key, Built(bad.rows(key) if key in done else bad.rows(key).clear()))
        # The quarantine is written even if its period is refused, so that the bad rows can be inspected.
        bad.finish()
        yield from bad.events()
        good.finish()
        _finish(judged, context.run_id)
        yield from good.events()

    return ingest


def _quality(judged: TableQuality, key: str, kept: pl.DataFrame, checks: Mapping[str, Outcome]) -> Outcome:
    """The outcome of the check ``quality``; what other checks refuse is kept beside it."""
    return outcome_of(judged.judge(key, kept, refused_by=[one.found for one in checks.values() if not one.passed]))


def _finish(judged: TableQuality | None, run_id: str) -> None:
    if judged is not None:
        judged.finish(run_id)


def _arrivals(
    source: Source, table: Table, keys: Sequence[str], timeline: Calendar | None, before: Ingested, *, anew: bool
) -> Iterator[tuple[str, Arrived | InputError]]:
    if timeline is not None:
        yield from arrivals(source, table, keys, timeline, before, anew=anew)
    else:
        delivery = source.read(table, 0, 0)
        yield ALL, Arrived(delivery, delivery.rows.clear())
