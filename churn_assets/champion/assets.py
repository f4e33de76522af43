"""Candidate, verdict, release: three assets, so that a failed gate can never half-publish."""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from churn_assets.champion.backtest_mean import backtest_mean_auc
from churn_assets.champion.blessing_asset import blessing_asset
from churn_assets.champion.candidate import best_family, build, describe, require_fitted_on
from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.champion_asset import champion_asset
from churn_assets.champion.checks import blocking_specs
from churn_assets.champion.mlflow_logging import log_candidate
from churn_assets.champion.oracle import best_measures
from churn_assets.champion.same_model import registered_version
from churn_assets.evaluation.evaluate import evaluate, measured
from churn_assets.evaluation.kinds import kinds_as_metadata, with_kinds_of
from churn_assets.evaluation.last_activity import with_last_activity
from churn_assets.evaluation.plots import pictures
from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import normalisation_of
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.run_history import said_of_rows
from churn_assets.periods import ALL, Calendar
from churn_assets.reporting.rounding import rounded
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import Tracking
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.fitting import FittingSettings
from churn_assets.tables import JUDGE, Source
from churn_assets.training.equal_rows import merge_copies
from churn_assets.training.fitted_family import GOLDEN, MODEL, PROBABILITIES, FittedFamily, read_file
from churn_assets.training.fitting import training_rows
from churn_assets.training.protection import require_allowed
from churn_assets.training.reason_plan import reason_plan, with_frequencies
from churn_assets.training.training_set import training_set_digest
from churn_assets.training.treated import SAID, as_weighed
from churn_store.charts.svg_chart import as_markdown
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.releases.bundles import stage
from churn_store.releases.manifest import TableVersion


def champion_assets(
    settings: Settings,
    source: Source,
    features: tuple[Feature, ...],
    upstream: Sequence[dg.AssetsDefinition],
    *,
    protected: Mapping[str, str] | None = None,
) -> Sequence[dg.AssetsDefinition]:
    """``candidate_model``, ``model_blessing`` and ``champion``.

    Args:
        settings: the company's settings.
        source: source of the raw tables.
        features: features that models may use.
        upstream: the assets of the tables that a candidate is made of; their blocking checks must have passed.
        protected: why each protected feature may be used, by its name; empty where nobody has said so.
    """
    return [
        _candidate_model(
            source,
            features,
            company=settings.company,
            purpose=settings.purpose,
            model_name=settings.tracking.model_name,
            tables=settings.tables,
            timeline=settings.timeline,
            fitting=settings.fitting,
            evaluation_settings=settings.evaluation,
            protected=protected or {},
            actionable=settings.features.actionable,
        ),
        blessing_asset(
            source,
            features,
            blocking_specs(upstream),
            tables=settings.tables,
            timeline=settings.timeline,
            fitting=settings.fitting,
            gate=settings.judging,
        ),
        champion_asset(settings.promotion),
    ]


def _candidate_model(
    source: Source,
    features: tuple[Feature, ...],
    *,
    company: str,
    purpose: str,
    model_name: str,
    tables: Sequence[Table],
    timeline: Calendar | None,
    fitting: FittingSettings,
    evaluation_settings: EvaluationSettings,
    protected: Mapping[str, str],
    actionable: Sequence[str],
) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "The family that was best on the selecting snapshots, exported, measured on the judging ones, and registered."
        ),
        group_name="champion",
        pool=BACKGROUND,
        kinds={"onnx", "mlflow"},
        owners=["team:data-science"],
        deps=["training_set"],
        ins={name: dg.AssetIn(name, dagster_type=FittedFamily) for name in fitting.training.families},
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def candidate_model(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[Tracking],
        **families: FittedFamily,
    ) -> dg.MaterializeResult[CandidateModel]:
        require_allowed(protected, serving)
        version = lake.version("training_set")
        rows = lake.read("training_set", ALL, version=version)
        data = TableVersion(version, training_set_digest(rows))
        left_out = [name for name, family in families.items() if family.left_out]
        asked = [family for family in families.values() if not family.left_out]
        if not asked:
            raise InputError("no family was trained: each of training.families was left out; ask for at least one of them")
        require_fitted_on(asked, data, features=features, settings=fitting)
        chosen = best_family(asked)
        candidate = build(
            chosen.signature,
            model=read_file(serving.files, MODEL, chosen.files[MODEL], asset=chosen.family),
            golden=read_file(serving.files, GOLDEN, chosen.files[GOLDEN], asset=chosen.family),
            training_set=rows,
            seed=fitting.training.seed,
        )
        weighed = as_weighed(rows)
        judging = weighed.filter(pl.col("role") == JUDGE)
        churned, scores = judging["churned"].to_numpy(), candidate.scorer.score_frame(judging)
        metrics = measured(churned, scores, threshold=chosen.threshold, profit=fitting.profit)
        made_of = lake.sources("training_set", version=version)
        judged = with_last_activity(lake, weighed, tables=tables, calendar=timeline, rule=fitting.at_risk)
        if fitting.label.kinds is not None and timeline is not None:
            judged = with_kinds_of(lake, judged, labels_version=made_of["churn_labels"])
        evaluation = evaluate(
            merge_copies(judged),
            candidate.scorer,
            threshold=chosen.threshold,
            profit=fitting.profit,
            evaluation=evaluation_settings,
            seed=fitting.training.seed,
        )
        drawn = pictures(churned, scores, evaluation, threshold=chosen.threshold, profit=fitting.profit)
        metrics |= best_measures(source, judging, label=fitting.label)
        plan = reason_plan(
            features,
            chosen.signature,
            training_rows(rows, fitting.training, seed=chosen.seed),
            protected=[name for name in protected if name in chosen.signature.names],
            actionable=actionable,
            seed=fitting.training.seed,
        )
        reasons = with_frequencies(plan, candidate.scorer, candidate.files[MODEL], judging, seed=fitting.training.seed)
        logged = log_candidate(
            mlflow,
            candidate,
            model_name=model_name,
            chosen=chosen,
            training_set=rows,
            data=data,
            data_uri=lake.shown_uri("training_set"),
            metrics=metrics,
            pictures=drawn,
            registered=registered_version(
                mlflow.tracking_client, serving, name=model_name, model_sha256=chosen.files[MODEL]
            ),
            backtest_auc=backtest_mean_auc(context.instance, chosen.family),
        )
        read = {name: TableVersion(source) for name, source in made_of.items()}
        manifest = stage(
            serving.files,
            candidate.files,
            describe(
                candidate,
                company=company,
                purpose=purpose,
                settings=fitting,
                chosen=chosen,
                training_set=rows,
                metrics=metrics,
                evaluation=evaluation,
                tables={"training_set": data, **read},
                mlflow=logged,
                now_s=clock.now_s(),
                normalisation=normalisation_of(lake),
                protected=protected,
                reasons=reasons,
                treated=said_of_rows(context.instance, "training_set", None, SAID),
            ),
        )
        return dg.MaterializeResult(
            value=CandidateModel(
                candidate=manifest.candidate, probabilities=chosen.files[PROBABILITIES], configured=chosen.configured
            ),
            data_version=dg.DataVersion(manifest.candidate),
            metadata={
                "family": chosen.family,
                **{name: rounded(value) for name, value in metrics.items()},
                **kinds_as_metadata(evaluation.kinds),
                "seed": chosen.seed,
                "left_out": ", ".join(left_out) or "none",
                "candidate": manifest.candidate,
                "model_sha256": manifest.files[MODEL].sha256,
                "trained_on": ", ".join(manifest.trained_on),
                "judged_on": ", ".join(manifest.judged_on) or "rows held out by customer; the data has no time",
                "split": manifest.split,
                "constant_features": ", ".join(
                    feature.name for feature in features if feature.name not in manifest.signature.names
                )
                or "none",
                "dagster/row_count": manifest.training_rows,
                "mlflow_run": logged["run_id"],
                "model_version": logged["model_version"],
                "as_of": clock.now().isoformat(),
                **{
                    f"picture_{name}": dg.MetadataValue.md(as_markdown(svg, name.replace("_", " ")))
                    for name, svg in drawn.items()
                },
            },
        )

    return candidate_model
