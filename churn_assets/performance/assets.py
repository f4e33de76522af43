"""``performance_history`` and ``performance_report``: what the released models came to, once labels are mature."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from churn_assets.features.assets import told_until_maturity
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.run_history import data_versions, digest_of
from churn_assets.orchestration.table_writer import Built, Events, contract_specs, keys_of, report, write_table
from churn_assets.performance.alerting import tell
from churn_assets.performance.gathering import FEATURES, SCORES, Stores, estimates, published_now, rows_of
from churn_assets.performance.history import TABLE, as_frame, by_snapshot, history_contract, read_history
from churn_assets.performance.judging import JudgedBy, Judging
from churn_assets.performance.report_page import Page, document, timeline
from churn_assets.performance.verdicts import NAME, performances, verdict
from churn_assets.periods import Calendar, epoch_s
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.label import Label
from churn_assets.treatments.records import TABLE as TREATMENTS
from churn_store.charts.svg_chart import as_markdown
from churn_store.clock import Clock
from churn_store.reports import publish

REPORT = "performance_report"
CHECK = "not_degraded"
"""The check that the newest mature snapshot is as the gate's figure promises."""


def performance_assets(
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    company: str,
    timeline: Calendar | None,
    label: Label,
    judged_by: JudgedBy,
    has_campaigns: bool,
) -> Sequence[dg.AssetsDefinition]:
    """The two assets; nothing where the data has no time, as no outcome comes after a prediction.

    Args:
        partitions: periods that labels can have.
        company: name of the company, for titles.
        timeline: calendar of a history.
        label: definition of churn.
        judged_by: sections of the settings that it is judged by.
        has_campaigns: whether the company has a table of treatments of its own.
    """
    if timeline is None or partitions is None:
        return []
    own = told_until_maturity(timeline.cadence, label)
    campaigns = [dg.AssetDep(TREATMENTS, partition_mapping=own)] if has_campaigns else []
    judging = judged_by.judging(timeline.cadence, label)
    return [_history(judging, partitions, campaigns), _report(company, partitions)]


def _history(
    judging: Judging, partitions: dg.PartitionsDefinition[Any], campaigns: Sequence[dg.AssetDep]
) -> dg.AssetsDefinition:
    @dg.asset(
        name=TABLE,
        description=(
            "What the releases came to that were really served at a mature snapshot: measures by release, arm and segment, beside the figures "
            "of their gate. Treated customers are left out, and those held out stand for them."
        ),
        group_name="performance",
        pool=BACKGROUND,
        kinds={"polars", "deltalake"},
        owners=["team:data-science"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=["published_labels", FEATURES, SCORES, *campaigns],
        check_specs=contract_specs(TABLE, partitions),
        code_version=code_version("performance"),
    )
    @wrong_input_is_final
    def performance_history(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Events:
        stores = _stores(context, lake, clock, serving)
        built = {}
        for key in keys_of(context):
            rows = rows_of(key, stores, judging)
            metadata = {
                "snapshot": key,
                "customers": max((row.rows for row in rows), default=0),
                "releases": ", ".join(sorted({row.series.release[:12] for row in rows if row.series.release})) or "none",
                "not_judged": "; ".join(dict.fromkeys(row.lacking for row in rows if row.lacking)) or "none",
            }
            built[key] = Built(as_frame(rows, snapshot_s=epoch_s(date.fromisoformat(key))), metadata=metadata)
        yield from write_table(context, lake, built.items(), contract=history_contract(), sources=stores.versions)

    return performance_history


def _report(company: str, partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    @dg.asset(
        name=REPORT,
        description=(
            "Whether the released model is still right, by labels that are mature: the verdict over all snapshots, the gate's figures beside what they "
            "came to, and an alert where it has degraded."
        ),
        group_name="performance",
        pool=BACKGROUND,
        kinds={"python"},
        owners=["team:data-science"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[TABLE],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=REPORT,
                description="the log loss of the newest mature snapshots is as the gate's figure promises",
                partitions_def=partitions,
            )
        ],
        code_version=code_version("performance"),
    )
    @wrong_input_is_final
    def performance_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[Any]:
        published = data_versions(context.instance, "published_labels")
        version = whole_versions(context.instance, lake, [TABLE])[TABLE]
        rows = read_history(lake, version=version)
        snapshots = by_snapshot(rows)
        now = published_now(serving.files, snapshots)
        found = performances(rows, labels=now)
        serves = serving.newest()
        serving_now = {digest for digest in (serves and serves.champion, serves and serves.challenger) if digest}
        said = verdict(found, as_of_s=clock.now_s(), release=None if serves is None else serves.champion)
        causes, closed = tell(serving.engine, found, said, serving=serving_now, now_s=clock.now_s())
        stores = _stores(context, lake, clock, serving)
        page = Page(
            company, clock.now().isoformat(), said, found, rows, estimates(stores, after=max(snapshots, default=""))
        )
        published_page = publish(
            serving.engine,
            serving.files,
            document(page).html(),
            name=NAME,
            title=page.title,
            verdict=said.sentence,
            now_s=clock.now_s(),
            snapshot=said.snapshot,
            release=said.release,
        )
        shared = {
            "verdict": dg.MetadataValue.md(f"**{said.sentence}**"),
            "report": how_to_open(published_page),
            "state": said.state,
            "newest_snapshot": said.snapshot or "none",
            "release": said.release or "none",
            "alerts": ", ".join(causes) or "none",
            "alerts_closed": closed,
            "report_sha256": published_page.digest,
            "as_of": clock.now().isoformat(),
            "delta_version": version,
        }
        judged = [one for one in found if one.arm is None and one.segment is None and "log_loss" in one.measures]
        if judged:
            shared["timeline"] = dg.MetadataValue.md(as_markdown(timeline(judged), "Log loss of each mature snapshot"))
        written = {
            key: {
                "snapshot": key,
                "dagster/row_count": len(snapshots.get(key, ())),
                # That of the labels that were judged by, so that labels of another version are seen to be due.
                "data_version": published.get(key, "none")
                if _is_current(snapshots.get(key, ()), now.get(key))
                else "restated",
                "files": digest_of(published_page.digest),
            }
            for key in keys_of(context)
        }
        yield from report(context, context.asset_key, {key: {} for key in written}, written, shared)
        yield dg.AssetCheckResult(
            check_name=CHECK,
            passed=said.state == "fine",
            severity=dg.AssetCheckSeverity.WARN,
            description=said.sentence,
            metadata={"state": said.state, "snapshot": said.snapshot or "none"},
        )

    return performance_report


def _is_current(rows: Sequence[Any], labels: str | None) -> bool:
    return all(not row.labels or row.labels == labels for row in rows)


def _stores(context: dg.AssetExecutionContext, lake: Lake, clock: Clock, serving: ServingStore) -> Stores:
    tables = [table for table in (FEATURES, SCORES, TREATMENTS) if lake.has(table)]
    versions = whole_versions(context.instance, lake, tables) if tables else {}
    return Stores(lake, versions, serving.engine, serving.files, clock.now_s())
