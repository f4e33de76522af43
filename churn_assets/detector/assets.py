"""``detector_benchmark``: how often the drift rule is wrong and right, measured on this machine, materialized by hand."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from churn_assets.detector.run import QUICK, measured, promises
from churn_assets.detector.tables import false_alarm_table, peer_power_table, power_table, promise_lines
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.reporting.document import Document, DocumentTable


def detector_benchmark_asset(*, seed: int) -> dg.AssetsDefinition:
    """``detector_benchmark``: the quick form of ``make bench-drift``. It reads no company's data, so it depends on nothing.

    Args:
        seed: seed of the synthetic company.
    """

    @dg.asset(
        description=(
            "False alarms and power of the drift rule beside others' rules, on years of a synthetic company: the quick form of "
            "`make bench-drift`, about a minute. Materialized by hand; no job has it."
        ),
        group_name="detector",
        pool=BACKGROUND,
        kinds={"polars"},
        owners=["team:data-science"],
        code_version=code_version("detector"),
    )
    def detector_benchmark(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        begun = time.monotonic()
        with TemporaryDirectory() as folder:
            found = measured(QUICK, seed, folder=Path(folder), say=context.log.info)
        kept = promises(found, QUICK)
        return dg.MaterializeResult(
            metadata={
                "promises": dg.MetadataValue.md("\n".join(f"- {line}" for line in promise_lines(kept))),
                "kept": all(promise.kept for promise in kept),
                "false_alarms": _shown(false_alarm_table(found)),
                "power": _shown(power_table(found, QUICK.rows)),
                "others": _shown(peer_power_table(found)),
                "seconds": round(time.monotonic() - begun),
            }
        )

    return detector_benchmark


def _shown(table: DocumentTable) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(Document("Drift rule", (table,)).markdown())
