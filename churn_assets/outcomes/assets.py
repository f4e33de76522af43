"""``published_labels``: the mature labels of the lake by snapshot, where the service and `churn experiment` read them.

Belongs here: which labels are published when, and what is said of it. Does not belong here: what a label means (``features.labels``), and the
files (``churn_store.outcomes.published_labels``).
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import narwhals as nw
import polars as pl

from churn_assets.features.assets import told_until_maturity
from churn_assets.features.labels import left_at
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import digest_at
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.run_history import DEFINITION, KNOWN_UNTIL, data_versions, digest_of, said_of_rows
from churn_assets.orchestration.table_writer import Events, Outcome, keys_of, report
from churn_assets.periods import Calendar, epoch_s, text
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.label import Label, matures_on
from churn_store.errors import ChurnError, InputError
from churn_store.mapping.tables import Table
from churn_store.outcomes.published_labels import About, open_labels, publish_labels
from churn_store.storage.digest_store import DigestStore

CHECK = "read_back"
"""The check that a published file is what it should be."""


def outcome_assets(
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    timeline: Calendar | None,
    label: Label,
    tables: Sequence[Table],
) -> Sequence[dg.AssetsDefinition]:
    """``published_labels``; nothing where the data has no time, as its labels are about no time after a prediction.

    Args:
        partitions: periods that labels can have.
        timeline: calendar of a history.
        label: definition of churn.
        tables: raw tables of the company.
    """
    if timeline is None:
        return []
    read: list[Table] = [table for table in tables if table == "events"]

    @dg.asset(
        description=(
            "The labels of a snapshot where the service reads them, as one immutable file: who of the customers at risk at T = partition key "
            "left, and when. The results of experiments count them beside posted outcomes. A later version replaces the file."
        ),
        group_name="outcomes",
        pool=BACKGROUND,
        kinds={"sqlite"},
        owners=["team:retention"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[
            "churn_labels",
            *(dg.AssetDep(table, partition_mapping=told_until_maturity(timeline.cadence, label)) for table in read),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset="published_labels",
                description="the file is read as the service does, with its digest, and says of every customer what the table says",
                blocking=True,
                partitions_def=partitions,
            )
        ],
        code_version=code_version("outcomes"),
    )
    @wrong_input_is_final
    def published_labels(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], serving: dg.ResourceParam[ServingStore]
    ) -> Events:
        sources = whole_versions(context.instance, lake, ["churn_labels", *read])
        recorded = data_versions(context.instance, "churn_labels")
        found, written = {}, {}
        for key in keys_of(context):
            labels = lake.read("churn_labels", key, version=sources["churn_labels"])
            made_by = definition_of(context.instance, key, label)
            rows = _with_moments(context.instance, lake, sources, key, labels, made_by)
            published = publish_labels(serving.files, _about(key, made_by, rows), rows.iter_rows())
            found[key] = {CHECK: read_back(serving.files, key, labels)}
            written[key] = {
                "dagster/row_count": published.about.rows,
                # That of the labels, so that labels of another version are seen to be unpublished.
                "data_version": recorded.get(key) or digest_at("churn_labels", labels),
                "files": digest_of(published.digest),
                "digest": published.digest,
                "snapshot": key,
                "churned": published.about.churned,
                "bytes": published.size,
            }
        yield from report(context, context.asset_key, found, written, {})

    return [published_labels]


def read_back(files: DigestStore, key: str, labels: pl.DataFrame) -> Outcome:
    """Whether the published labels of a snapshot can be read and are those of the table.

    Args:
        files: the release files.
        key: key of the snapshot.
        labels: ``customer_id`` and ``churned``.
    """
    try:
        opened = open_labels(files, key)
    except ChurnError as error:
        return Outcome(False, str(error))
    if opened is None:
        return Outcome(False, f"no labels of {key} are published")
    told = opened.of(labels["customer_id"].to_list())
    rows = opened.about.rows
    opened.close()
    differ = sum(customer_id not in told or told[customer_id].churned != churned for customer_id, churned in _pairs(labels))
    if differ or rows != labels.height:
        return Outcome(False, f"{differ} of {labels.height} customers are not as the table says, and the file has {rows}")
    return Outcome(True, f"{rows} customers are as the table says", {"rows": rows})


def _pairs(labels: pl.DataFrame) -> Iterator[tuple[str, bool]]:
    yield from labels.select("customer_id", "churned").iter_rows()


def definition_of(instance: dg.DagsterInstance, key: str, label: Label) -> Label:
    """The definition of churn that a snapshot's labels were made by; the present one may be another.

    Labels of an older version don't say it, and are taken to be of the present one if they matured when it says.

    Raises:
        InputError: if they were made by another one that is not known.
    """
    made_by = said_of_rows(instance, "churn_labels", key, DEFINITION)
    if made_by is not None:
        return Label.model_validate_json(str(made_by))
    matured = said_of_rows(instance, "churn_labels", key, "matured_on")
    expected = text(matures_on(date.fromisoformat(key), label))
    if matured is not None and matured != expected:
        raise InputError(
            f"the labels of {key} matured on {matured}, and by the present definition of churn they would on {expected}: they were made by "
            "another one; materialize churn_labels of this period again"
        )
    return label


def _with_moments(
    instance: dg.DagsterInstance, lake: Lake, sources: dict[str, int], key: str, labels: pl.DataFrame, label: Label
) -> pl.DataFrame:
    """``customer_id``, ``churned`` and ``left_s``, the moment of leaving; null where there is none."""
    told = labels.select("customer_id", "churned").sort("customer_id")
    if label.kind != "event" or "events" not in sources:
        return told.with_columns(left_s=pl.lit(None, dtype=pl.Int64))
    snapshot = date.fromisoformat(key)
    known_until = said_of_rows(instance, "churn_labels", key, KNOWN_UNTIL)
    until = matures_on(snapshot, label) if known_until is None else date.fromisoformat(str(known_until))
    # Raw periods are written once, so these rows are those that the labels were made from.
    arrived = pl.col(PERIOD).is_between(pl.lit(key), pl.lit(text(until)), closed="left")
    with lake.reading(sources):
        events = nw.from_native(lake.scan("events", version=sources["events"]).filter(arrived))
        moments = left_at(events, snapshot=snapshot, label=label, known_until=until)
    left = pl.when("churned").then("left_s")
    return told.join(moments, on="customer_id", how="left").select("customer_id", "churned", left).sort("customer_id")


def _about(key: str, label: Label, rows: pl.DataFrame) -> About:
    snapshot = date.fromisoformat(key)
    kind = ", ".join(label.event) if label.kind == "event" else "no event and no settled payment"
    return About(
        snapshot=key,
        snapshot_s=epoch_s(snapshot),
        horizon_days=label.horizon_days,
        matured_s=epoch_s(snapshot + label.horizon + timedelta(days=label.grace_days)),
        definition=f"{kind} within {label.horizon_days} days",
        rows=rows.height,
        churned=int(rows["churned"].sum()),
    )
