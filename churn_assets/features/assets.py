"""Features and labels by snapshot."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import dagster as dg
import narwhals as nw
import polars as pl

from churn_assets.coverage import arrivals_until, require_arrivals, require_history
from churn_assets.features.catalogue import as_table
from churn_assets.features.churn_kinds import kind_counts, kinds_since, with_kinds
from churn_assets.features.contracts import (
    features_contract,
    labels_contract,
    nobody_labelled,
    plausible_label_rate,
    someone_at_risk,
)
from churn_assets.features.engines.base import History
from churn_assets.features.engines.open_engine import open_engine
from churn_assets.features.feature import Feature
from churn_assets.features.labels import churn_labels, require_mature
from churn_assets.features.lookback import lookback_days, reads_all
from churn_assets.features.snapshot import features_of_table
from churn_assets.features.todays_customers import at_risk as at_risk_without_time
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import require_whole, whole_versions
from churn_assets.orchestration.pools import BACKGROUND, FEATURES
from churn_assets.orchestration.run_history import DEFINITION, KNOWN_UNTIL, data_versions, present, raw_periods
from churn_assets.orchestration.table_writer import Built, Events, contract_specs, keys_of, write_table
from churn_assets.periods import Cadence, Calendar, text
from churn_assets.quality.check import CHECKED, QUALITY, outcome_of
from churn_assets.quality.table_quality import TableQuality
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.engine import EngineName, Spark
from churn_assets.settings.events import EventRoles, EventSettings
from churn_assets.settings.label import Label
from churn_assets.settings.quality import Quality
from churn_assets.tables import LABEL
from churn_store.clock import Clock
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.tables import Table

ALL_EARLIER_DAYS = 36_525
"""The stretch that stands for all earlier periods: a century, more than a company has."""

TABLE = "customer_features"

MOST_PERIODS = 10_000
"""The most periods that a dependency reaches back. Dagster walks over each of them in every run and for every input."""


def feature_assets(
    features: tuple[Feature, ...],
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    timeline: Calendar | None,
    tables: Sequence[Table],
    at_risk: AtRisk,
    label: Label,
    events: EventSettings,
    quality: Quality,
    engine: EngineName,
    spark: Spark,
    labelled: dg.PartitionsDefinition[Any] | None = None,
) -> Sequence[dg.AssetsDefinition]:
    """``customer_features`` and ``churn_labels``.

    Args:
        features: all features of the company.
        partitions: periods of a history.
        timeline: calendar of a history; `None` where the data has no time, and then the arguments after it are not used.
        tables: raw tables of the company.
        at_risk: definition of who can churn.
        label: definition of churn.
        events: what the types of events mean.
        quality: section ``quality``.
        engine: name of the engine.
        spark: settings of the engine ``spark``.
        labelled: periods that labels can have; default: those of the snapshots.
    """
    if timeline is not None:
        return [
            _customer_features(
                features,
                partitions,
                calendar=timeline,
                tables=tables,
                rule=at_risk,
                roles=events.roles,
                quality=quality,
                engine=engine,
                spark=spark,
            ),
            _churn_labels(labelled or partitions, calendar=timeline, tables=tables, rule=at_risk, label=label),
        ]
    return [_table_features(features), _table_labels()]


def _customer_features(
    features: tuple[Feature, ...],
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    calendar: Calendar,
    tables: Sequence[Table],
    rule: AtRisk,
    roles: EventRoles,
    quality: Quality,
    engine: EngineName,
    spark: Spark,
) -> dg.AssetsDefinition:
    computing = open_engine(engine, spark)
    reach = {table: None if reads_all(table, rule) else lookback_days(table, features, rule) for table in tables}

    @dg.asset(
        description="What was known of each customer at risk at the snapshot T = partition key; nothing at or after T.",
        metadata={"catalogue": dg.MetadataValue.md(as_table(features))},
        group_name="features",
        pool=FEATURES,
        kinds={engine, "deltalake"},
        owners=["team:data"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[dg.AssetDep(table, partition_mapping=_arrived_before(calendar.cadence, reach[table])) for table in tables],
        check_specs=contract_specs(
            "customer_features",
            partitions,
            besides={"someone_at_risk": "at least one customer is at risk", QUALITY: CHECKED},
        ),
        code_version=code_version("features"),
    )
    @wrong_input_is_final
    def customer_features(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], clock: dg.ResourceParam[Clock]
    ) -> Events:
        keys = keys_of(context)
        require_whole(context.instance, lake, tables)
        raw = raw_periods(context.instance, lake, tables)
        require_history(calendar, clock.now().date(), keys, raw=raw)
        sources = lake.versions(tables)
        history = History(lake, {table: sources[table] for table in tables}, calendar, features, rule, roles)
        judged = _judged(context.instance, lake, calendar, quality)

        def built() -> Iterator[tuple[str, Built]]:
            for snapshot, frame in computing.snapshots(history, [date.fromisoformat(key) for key in keys]):
                key = text(snapshot)
                found = outcome_of(judged.judge(key, frame.select(known.name for known in features)))
                checks = {"someone_at_risk": someone_at_risk(frame), QUALITY: found}
                yield key, Built(frame, checks=checks, metadata={"snapshot": key, "at_risk": frame.height})
            judged.finish(context.run_id)

        contract = features_contract(features, has_time=True)
        yield from write_table(context, lake, built(), contract=contract, sources=sources, when_added=judged.stands)

    return customer_features


def _judged(instance: dg.DagsterInstance, lake: Lake, calendar: Calendar, rules: Quality) -> TableQuality:
    """The quality of the snapshots, compared with those that stand."""
    stand, versions = present(instance, lake, TABLE), data_versions(instance, TABLE)
    return TableQuality(
        lake,
        TABLE,
        calendar,
        rules,
        versions={key: version for key, version in versions.items() if key in stand},
        rows=lambda key: lake.read(TABLE, key),
    )


def _churn_labels(
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    calendar: Calendar,
    tables: Sequence[Table],
    rule: AtRisk,
    label: Label,
) -> dg.AssetsDefinition:
    used: list[Table] = [table for table in tables if table != "customers"]

    @dg.asset(
        name="churn_labels",
        description=(
            f"Who of the customers at risk at T = partition key churned within {label.horizon_days} days; "
            "exists only once every outcome can be known, and is restated when rows of its window arrive later."
        ),
        group_name="features",
        pool=BACKGROUND,
        kinds={"polars", "deltalake"},
        owners=["team:data"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[
            "customer_features",
            *(dg.AssetDep(table, partition_mapping=told_until_maturity(calendar.cadence, label)) for table in used),
        ],
        check_specs=contract_specs(
            "churn_labels", partitions, besides={"label_rate": "the share of churn is neither near none nor near all"}
        ),
        code_version=code_version("features"),
    )
    @wrong_input_is_final
    def label_snapshots(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], clock: dg.ResourceParam[Clock]
    ) -> Events:
        built = {}
        require_whole(context.instance, lake, ["customer_features", *tables])
        raw = raw_periods(context.instance, lake, tables)
        sources = lake.versions(["customer_features", *used])
        for key in keys_of(context):
            snapshot = date.fromisoformat(key)
            matured = require_mature(snapshot, label, as_of=clock.now().date())
            require_arrivals(calendar, label, snapshot, raw=raw)
            until = arrivals_until(calendar, label, snapshot, raw=raw)

            def rows(table: Table, since: str = key, until: date = until) -> nw.LazyFrame[Any] | None:
                arrived = pl.col(PERIOD).is_between(pl.lit(since), pl.lit(text(until)), closed="left")
                return nw.from_native(lake.scan(table, version=sources[table]).filter(arrived)) if table in used else None

            # Rows known before T decided who is at risk; only rows that became known later can say who left.

            with lake.reading(sources):
                labelled = churn_labels(
                    lake.read("customer_features", key, version=sources["customer_features"]),
                    rows("events"),
                    rows("payments"),
                    snapshot=snapshot,
                    label=label,
                    rule=rule,
                    known_until=until,
                )
                labels, by_kind = labelled.labels, {}
                if label.kinds is not None:
                    since = text(calendar.floor(kinds_since(snapshot, label.kinds)))
                    labels = with_kinds(
                        labels,
                        rows("events", since),
                        rows("payments", since),
                        snapshot=snapshot,
                        label=label,
                        kinds=label.kinds,
                        known_until=until,
                    )
                    by_kind = {f"churned_{kind}": count for kind, count in kind_counts(labels).items()}
            rate = plausible_label_rate(labels)
            built[key] = Built(
                labels,
                checks={"label_rate": rate},
                metadata={
                    "snapshot": key,
                    "matured_on": text(matured),
                    KNOWN_UNTIL: text(until),
                    DEFINITION: label.model_dump_json(),
                    "churn_rate": rate.metadata["churn_rate"],
                    "left_before_known_later": labelled.left_before,
                    **by_kind,
                },
            )
        contract = labels_contract(has_time=True, has_kinds=label.kinds is not None)
        yield from write_table(context, lake, built.items(), contract=contract, sources=sources)

    return label_snapshots


def _table_features(features: tuple[Feature, ...]) -> dg.AssetsDefinition:
    @dg.asset(
        name="customer_features",
        metadata={"catalogue": dg.MetadataValue.md(as_table(features))},
        description=(
            "The attributes of every customer, as a model sees them: also of those who left, from whom it learns. The data has no "
            "time, so neither have these."
        ),
        group_name="features",
        pool=FEATURES,
        kinds={"polars", "deltalake"},
        owners=["team:data"],
        deps=["customers"],
        check_specs=contract_specs(
            "customer_features", None, besides={"someone_at_risk": "at least one customer is at risk"}
        ),
        code_version=code_version("features"),
    )
    @wrong_input_is_final
    def customer_features(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Events:
        [key] = keys_of(context)
        sources = whole_versions(context.instance, lake, ["customers"])
        customers = lake.read("customers", key, version=sources["customers"])
        frame, risky = features_of_table(customers, features), at_risk_without_time(customers)
        built = {key: Built(frame, checks={"someone_at_risk": someone_at_risk(risky)}, metadata={"at_risk": risky.height})}
        yield from write_table(
            context, lake, built.items(), contract=features_contract(features, has_time=False), sources=sources
        )

    return customer_features


def _table_labels() -> dg.AssetsDefinition:
    @dg.asset(
        name="churn_labels",
        description="Who churned, as the label column of the source says; today's customers, who have no label, are not in it.",
        group_name="features",
        pool=BACKGROUND,
        kinds={"polars", "deltalake"},
        owners=["team:data"],
        deps=["customers"],
        check_specs=contract_specs(
            "churn_labels", None, besides={"label_rate": "the share of churn is neither near none nor all"}
        ),
        code_version=code_version("features"),
    )
    @wrong_input_is_final
    def churn_labels(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Events:
        [key] = keys_of(context)
        sources = whole_versions(context.instance, lake, ["customers"])
        customers = lake.read("customers", key, version=sources["customers"], columns=["customer_id", LABEL])
        labels, counts = customers.drop_nulls(LABEL), LabelCounts.of(customers[LABEL])
        rate = plausible_label_rate(labels) if labels.height else nobody_labelled(counts)
        built = {key: Built(labels, checks={"label_rate": rate}, metadata={**asdict(counts), **rate.metadata})}
        yield from write_table(context, lake, built.items(), contract=labels_contract(has_time=False), sources=sources)

    return churn_labels


def _arrived_before(cadence: Cadence, lookback_days: int | None) -> dg.PartitionMapping:
    """The raw periods that a snapshot reads: of those that have ended, all or those within its longest window."""
    periods = min(_periods(cadence, ALL_EARLIER_DAYS if lookback_days is None else lookback_days), MOST_PERIODS)
    return dg.TimeWindowPartitionMapping(start_offset=-periods, end_offset=-1, allow_nonexistent_upstream_partitions=True)


def told_until_maturity(cadence: Cadence, label: Label) -> dg.PartitionMapping:
    """The raw periods that labels read: of their window up to maturity, and before it those that tell the kinds of churn."""
    return dg.TimeWindowPartitionMapping(
        start_offset=0 if label.kinds is None else -_periods(cadence, label.kinds.failed_days),
        end_offset=_periods(cadence, label.horizon_days + label.grace_days) - 1,
        allow_nonexistent_upstream_partitions=True,
    )


def _periods(cadence: Cadence, days: int) -> int:
    """The greatest number of periods that a stretch of days can touch."""
    shortest = {"monthly": 28, "weekly": 7, "daily": 1}[cadence]
    return -(-days // shortest)
