"""``monitoring_facts``: what the graph has found out, published for the service."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from churn_assets.facts.parts import drift_part, performance_part, quality_part, skew_verdict
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.resources.serving import ServingStore
from churn_store.clock import Clock
from churn_store.errors import ChurnError
from churn_store.monitoring.facts import ASSET, Facts, publish_facts, read_facts
from churn_store.storage.online_store import newest_snapshot

CHECK: Final = "reads_back"
"""The check that the service can read what was published."""


def facts_assets(*, company: str, has_time: bool) -> Sequence[dg.AssetsDefinition]:
    """``monitoring_facts``.

    Args:
        company: name of the company.
        has_time: whether the data is a history.
    """
    return [_monitoring_facts(company=company, has_time=has_time)]


def _monitoring_facts(*, company: str, has_time: bool) -> dg.AssetsDefinition:
    @dg.asset(
        name=ASSET,
        description=(
            "Verdicts on drift, data quality, performance and skew with the series that they rest on, as the one file that the service "
            "shows at /monitoring. What was not judged is unknown."
        ),
        group_name="facts",
        pool=BACKGROUND,
        kinds={"json"},
        owners=["team:data-science"],
        deps=["customer_features", "drift_report", *(["performance_report"] if has_time else [])],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=ASSET, description="the store gives back what was published, as the service will read it"
            )
        ],
        code_version=code_version("facts"),
    )
    @wrong_input_is_final
    def monitoring_facts(
        context: dg.AssetExecutionContext,  # noqa: ARG001 - wrong input ends the run by it
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        row, now_s = serving.newest(), clock.now_s()
        release = None if row is None else row.champion
        online = asyncio.run(newest_snapshot(serving.online_url))
        drift, quality = drift_part(lake, now_s=now_s), quality_part(lake, now_s=now_s)
        performance = performance_part(lake, serving.files, release=release, now_s=now_s)
        skew = skew_verdict(serving.engine, lake, serving.files, online, has_time=has_time, now_s=now_s)
        verdicts = [*drift.verdicts, *quality.verdicts, *performance.verdicts, skew]
        facts = Facts(
            company=company,
            as_of_s=now_s,
            release=release,
            verdicts=verdicts,
            drift=drift.found,
            performance=performance.found,
            quality=quality.found,
        )
        published = publish_facts(serving.files, facts)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(published.digest),
            metadata={
                "verdicts": dg.MetadataValue.md(
                    "\n".join(f"- **{one.name}**: {one.state}. {one.sentence}" for one in verdicts)
                ),
                **{one.name: one.state for one in verdicts},
                "release": release or "none",
                "windows": len(facts.drift),
                "snapshots": len({one.snapshot for one in facts.performance}),
                "findings": len(facts.quality),
                "bytes": published.size,
                "digest": published.digest,
                "as_of": clock.now().isoformat(),
            },
        )
        yield _read_back(serving, facts)

    return monitoring_facts


def _read_back(serving: ServingStore, facts: Facts) -> dg.AssetCheckResult:
    try:
        is_same = read_facts(serving.files) == facts
        said = "the store gives back what was published" if is_same else "the store gives back other facts"
    except ChurnError as error:
        is_same, said = False, str(error)
    return dg.AssetCheckResult(check_name=CHECK, passed=is_same, description=said, metadata={"same": is_same})
