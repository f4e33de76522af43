"""The asset ``backtest_report``: the backtest in Dagster, with its pictures, and what the retraining policy reads of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from churn_assets.backtest.default_family import family_of
from churn_assets.backtest.report import Backtest
from churn_assets.backtest.report_page import (
    ages_chart,
    claim_table,
    document,
    folds_chart,
    headline,
    sentences,
    write,
)
from churn_assets.backtest.rolling import Backtester
from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import require_whole
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.reporting.document import Document
from churn_assets.reporting.rounding import rounded
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.charts.svg_chart import as_markdown
from churn_store.clock import Clock
from churn_store.reports import Report, publish

CHECK = "worst_fold_above_floor"

NO_LIMIT = 0
"""Metadata ``staleness_limit_periods`` where no limit was seen."""


class BacktestRun(dg.Config):
    """What a single run may ask for in the launchpad."""

    family: str | None = None
    folds: int | None = None


def backtest_assets(settings: Settings, features: tuple[Feature, ...]) -> Sequence[dg.AssetsDefinition]:
    """``backtest_report``."""

    @dg.asset(
        description=(
            "What models of the serving family would have been worth, snapshot after snapshot, what a random split would have "
            "claimed, and how they age. The staleness limit of the retraining policy comes from here."
            if settings.has_time
            else "What models of the serving family are worth in stratified folds: the data has no time to test by."
        ),
        group_name="training",
        pool=BACKGROUND,
        kinds={"python"},
        owners=["team:data-science"],
        deps=["customer_features", "churn_labels"],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset="backtest_report", description="the AUC of the worst fold is at least gate.auc_floor"
            )
        ],
        code_version=code_version("backtest"),
    )
    @wrong_input_is_final
    def backtest_report(
        context: dg.AssetExecutionContext,
        config: BacktestRun,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        require_whole(context.instance, lake, ("customer_features", "churn_labels"))
        as_of = clock.now().date()
        family = family_of(config.family, serving, settings.training.families)
        found = Backtester(
            company=settings.company,
            calendar=settings.timeline,
            settings=settings.fitting,
            evaluation=settings.evaluation,
            family=family,
            features=features,
        ).run(lake, as_of=as_of, folds=config.folds)
        floor = settings.gate.auc_floor
        _, figures = write(found, settings.reports.absolute(), as_of=as_of.isoformat(), floor=floor)
        page = document(found, floor=floor)
        report = publish(
            serving.engine,
            serving.files,
            page.html(),
            name="backtest",
            title=page.title,
            verdict=headline(found, floor=floor),
            now_s=clock.now_s(),
        )
        yield dg.MaterializeResult(metadata=_metadata(found, report, str(figures), as_of.isoformat()))
        worst = found.worst
        yield dg.AssetCheckResult(
            check_name=CHECK,
            passed=worst.measures["auc"] >= settings.gate.auc_floor,
            description=f"the worst fold, {worst.test}, has AUC {worst.measures['auc']:.3f}; expected at least "
            f"{settings.gate.auc_floor:g}",
            metadata={"auc": rounded(worst.measures["auc"]), "floor": settings.gate.auc_floor, "fold": worst.test},
        )

    return [backtest_report]


def _metadata(found: Backtest, report: Report, figures: str, as_of: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "verdict": dg.MetadataValue.md(f"**{report.verdict}**"),
        "report": how_to_open(report),
        "found": dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences(found))),
        "family": found.family,
        "by_time": dg.MetadataValue.bool(found.by_time),
        "folds": len(found.folds),
        "mean_auc": rounded(found.honest["auc"]),
        "newest_fold": found.folds[-1].test,
        "worst_fold": found.worst.test,
        "worst_auc": rounded(found.worst.measures["auc"]),
        "folds_table": _folds_table(found),
        "folds_picture": dg.MetadataValue.md(as_markdown(folds_chart(found), "AUC of each fold with its interval")),
        "staleness_limit_periods": found.staleness_limit or NO_LIMIT,
        "staleness_limit": found.limit_in_words,
        "report_sha256": report.digest,
        "figures": dg.MetadataValue.path(figures),
        "dagster/row_count": sum(fold.rows for fold in found.folds),
        "as_of": as_of,
    }
    if found.trend is not None:
        metadata |= {"trend": found.trend.in_words, "trend_auc_per_period": rounded(found.trend.slope)}
    if found.random_split is not None:
        table = Document("Random split", (claim_table(found),)).markdown()
        metadata |= {
            "random_split_claims_auc": rounded(found.random_split["auc"]),
            "random_split": dg.MetadataValue.md(table),
        }
    if found.ages:
        metadata["ages_picture"] = dg.MetadataValue.md(as_markdown(ages_chart(found), "Excess log loss of aged models"))
    return metadata


def _folds_table(found: Backtest) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "test": fold.test,
                    "trained_on": " to ".join(fold.trained_on),
                    "calibrated_on": ", ".join(fold.calibrated_on),
                    "training_rows": fold.training_rows,
                    "rows": fold.rows,
                    "auc_low": rounded(fold.intervals["auc"].low),
                    "auc_high": rounded(fold.intervals["auc"].high),
                    **{name: rounded(value) for name, value in fold.measures.items()},
                }
            )
            for fold in found.folds
        ]
    )
