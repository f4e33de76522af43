"""``quality_report``: what is odd about a snapshot's features, as a page."""

from typing import Any

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.findings import ORDER
from churn_assets.monitoring.history import TABLE
from churn_assets.monitoring.pages import SnapshotStores, Subject, publish_page, quality_page
from churn_assets.monitoring.reference_rows import champion
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import keys_of
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.monitoring import Monitoring
from churn_store.alerts.log import open_alerts
from churn_store.clock import Clock


def quality_asset(
    partitions: dg.PartitionsDefinition[Any] | None, *, company: str, monitoring: Monitoring, seed: int
) -> dg.AssetsDefinition:
    """``quality_report``.

    Args:
        partitions: periods of a history.
        company: name of the company, for titles.
        monitoring: section ``monitoring``, with the rows that are drawn.
        seed: seed of the sample of rows to draw.
    """

    @dg.asset(
        description=(
            "What is odd about the snapshot's features, by severity, beside the open alerts and a summary of the data. It blocks nothing: the checks of the "
            "raw tables and of customer_features do."
        ),
        group_name="monitoring",
        pool=BACKGROUND,
        kinds={"evidently"},
        owners=["team:data-science"],
        partitions_def=partitions,
        deps=[TABLE, "customer_features", "champion", *([] if partitions else ["customers"])],
        code_version=code_version("monitoring"),
    )
    @wrong_input_is_final
    def quality_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> dg.MaterializeResult[None]:
        [key] = keys_of(context)
        bundle = champion(serving)
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        stores = SnapshotStores(lake, serving, clock)
        subject = Subject.of(stores, bundle, key, version=version, company=company, monitoring=monitoring, seed=seed)
        page, found = quality_page(subject, open_alerts(serving.engine))
        report = publish_page(page, serving, now_s=clock.now_s(), key=key, release=bundle.digest)
        return dg.MaterializeResult(
            value=None,
            metadata={
                "findings": dg.MetadataValue.md(
                    "\n".join(f"- **{one.severity}** {one.sentence}" for one in found) or page.verdict
                ),
                "report": how_to_open(report),
                **{severity: sum(one.severity == severity for one in found) for severity in ORDER},
                "snapshot": key,
                "release": bundle.digest,
                "report_sha256": report.digest,
                "delta_version": version,
                "dagster/row_count": subject.rows.height,
            },
        )

    return quality_report
