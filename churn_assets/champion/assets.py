"""Candidate, verdict, release: three assets, so that a failed gate can never half-publish."""

from collections.abc import Iterator, Sequence
from typing import Literal

import dagster as dg
import polars as pl
from dagster_mlflow.resources import MlFlow
from sklearn.metrics import roc_auc_score
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.champion.candidate import better, build, describe, require_configured, require_made_of
from churn_assets.champion.candidate_model import CandidateModel
from churn_assets.champion.card.files import try_to_log_card
from churn_assets.champion.checks import blocking_specs, checks_of, rule_results, rule_specs
from churn_assets.champion.gate.evidence import Evidence
from churn_assets.champion.gate.verdict import failed, judge
from churn_assets.champion.lineage import evaluation_of, judged_from_s, trained_until_s, training_set_of
from churn_assets.champion.metadata import facts
from churn_assets.champion.mlflow_logging import log_candidate
from churn_assets.champion.multiple_comparisons import nth_model
from churn_assets.champion.oracle import true_probabilities
from churn_assets.champion.registry_mirror import try_to_mirror
from churn_assets.evaluation.baselines import baselines
from churn_assets.evaluation.evaluate import evaluate, measured
from churn_assets.evaluation.plots import as_markdown, pictures
from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.table_writer import columns_schema
from churn_assets.periods import ALL
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, Source
from churn_assets.training.fitted_family import GOLDEN, MODEL, PROBABILITIES, FittedFamily, read_file
from churn_assets.training.held_out import decode
from churn_assets.training.training_set import training_set_digest
from churn_store.clock import DAY_S, Clock
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import load_bundle, load_file, load_manifest, stage
from churn_store.releases.lifecycle import candidate_of, how_to_approve
from churn_store.releases.log import Serving, publish
from churn_store.releases.manifest import Blessing, Manifest, TableVersion


def champion_assets(
    settings: Settings, source: Source, features: tuple[Feature, ...], upstream: Sequence[dg.AssetsDefinition]
) -> Sequence[dg.AssetsDefinition]:
    """``candidate_model``, ``model_blessing`` and ``champion``.

    Args:
        settings: the company's settings.
        source: source of the raw tables.
        features: features that models may use.
        upstream: the assets of the tables that a candidate is made of; their blocking checks must have passed.
    """
    return [
        _candidate_model(settings, source, features),
        _model_blessing(settings, source, features, blocking_specs(upstream)),
        _champion(settings.promotion),
    ]


def _candidate_model(settings: Settings, source: Source, features: tuple[Feature, ...]) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "The family that was best on the selecting snapshots, exported, measured on the judging ones, and registered."
        ),
        group_name="champion",
        kinds={"onnx", "mlflow"},
        owners=["team:data-science"],
        deps=["training_set"],
        ins={name: dg.AssetIn(name, dagster_type=FittedFamily) for name in settings.training.families},
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def candidate_model(
        context: dg.AssetExecutionContext,  # noqa: ARG001 - wrong_input_is_final tags its run
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[MlFlow],
        **families: FittedFamily,
    ) -> dg.MaterializeResult[CandidateModel]:
        version = lake.version("training_set")
        rows = lake.read("training_set", ALL, version=version)
        data = TableVersion(version, training_set_digest(rows))
        require_made_of(list(families.values()), data, features=features, settings=settings)
        chosen = better(list(families.values()))
        candidate = build(
            chosen.signature,
            model=read_file(serving.files, MODEL, chosen.files[MODEL], asset=chosen.family),
            golden=read_file(serving.files, GOLDEN, chosen.files[GOLDEN], asset=chosen.family),
            training_set=rows,
            seed=settings.training.seed,
        )
        judging = rows.filter(pl.col("role") == JUDGE)
        churned, scores = judging["churned"].to_numpy(), candidate.scorer.score_frame(judging)
        metrics = measured(churned, scores, threshold=chosen.threshold, profit=settings.profit)
        evaluation = evaluate(
            rows,
            candidate.scorer,
            threshold=chosen.threshold,
            profit=settings.profit,
            evaluation=settings.evaluation,
            seed=settings.training.seed,
        )
        drawn = pictures(churned, scores, evaluation, threshold=chosen.threshold, profit=settings.profit)
        truth = true_probabilities(source, judging, horizon_s=settings.label.horizon_days * DAY_S)
        if truth is not None:
            metrics["auc_ceiling"] = float(roc_auc_score(churned, truth))
        logged = log_candidate(
            mlflow,
            candidate,
            settings=settings,
            chosen=chosen,
            training_set=rows,
            data=data,
            data_uri=lake.uri("training_set"),
            metrics=metrics,
            pictures=drawn,
        )
        read = {name: TableVersion(source) for name, source in lake.sources("training_set", version=version).items()}
        manifest = stage(
            serving.files,
            candidate.files,
            describe(
                candidate,
                settings=settings,
                chosen=chosen,
                training_set=rows,
                metrics=metrics,
                evaluation=evaluation,
                tables={"training_set": data, **read},
                mlflow=logged,
                now_s=clock.now_s(),
            ),
        )
        return dg.MaterializeResult(
            value=CandidateModel(
                candidate=manifest.candidate, probabilities=chosen.files[PROBABILITIES], configured=chosen.configured
            ),
            data_version=dg.DataVersion(manifest.candidate),
            metadata={
                **metrics,
                "family": chosen.family,
                "candidate": manifest.candidate,
                "model_sha256": manifest.files[MODEL].sha256,
                "trained_on": ", ".join(manifest.trained_on),
                "judged_on": ", ".join(manifest.judged_on) or "rows held out by customer; the data has no time",
                "split": manifest.split,
                "dagster/row_count": manifest.training_rows,
                "dagster/column_schema": columns_schema(manifest.signature.columns),
                "mlflow_run": logged["run_id"],
                "model_version": logged["model_version"],
                "as_of": clock.now().isoformat(),
                **{f"picture_{name}": dg.MetadataValue.md(as_markdown(name, png)) for name, png in drawn.items()},
            },
        )

    return candidate_model


def _model_blessing(
    settings: Settings, source: Source, features: tuple[Feature, ...], checks: Sequence[dg.AssetCheckSpec]
) -> dg.AssetsDefinition:
    @dg.asset(
        description="The gate's verdict on the candidate. Every rule is a check; an error in any of them is a rejection.",
        group_name="champion",
        kinds={"python"},
        owners=["team:data-science"],
        deps=["training_set"],
        check_specs=rule_specs(),
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def model_blessing(
        context: dg.AssetExecutionContext,
        candidate_model: CandidateModel,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[dg.MaterializeResult[Blessing] | dg.AssetCheckResult]:
        manifest = candidate_model.manifest(serving.files)
        _refuse_champion(serving, manifest)

        def read() -> Evidence:
            serves = serving.newest()
            champion = None if serves is None else load_bundle(serving.files, serves.champion)
            rows = training_set_of(manifest, lake)
            judging = rows.filter(pl.col("role") == JUDGE)
            require_configured({manifest.family: candidate_model.configured}, features, settings)
            return Evidence(
                trained=decode(
                    read_file(serving.files, PROBABILITIES, candidate_model.probabilities, asset=manifest.family)
                ),
                model=manifest.files[MODEL].sha256,
                scorer=Scorer(load_file(serving.files, manifest, MODEL), manifest.signature),
                threshold=manifest.threshold,
                golden=load_file(serving.files, manifest, GOLDEN),
                training_set=rows,
                checks=checks_of(context.instance, checks, manifest, settings),
                evaluation=evaluation_of(manifest),
                baselines=baselines(rows, manifest.signature),
                truth=true_probabilities(source, judging, horizon_s=settings.label.horizon_days * DAY_S),
                judging_from=judged_from_s(manifest),
                candidate_trained_until=trained_until_s(manifest),
                epoch=0 if serves is None else serves.epoch,
                champion=champion,
                champion_trained_until=None if champion is None else trained_until_s(champion.manifest),
                nth=nth_model(serving, manifest, serves),
                split=manifest.split,
                champion_split=None if champion is None else champion.manifest.split,
            )

        judgement = judge(
            read,
            candidate=manifest.candidate,
            settings=settings,
            actor=f"dagster run {context.run_id}",
            now_s=clock.now_s(),
        )
        blessing = judgement.blessing
        record_blessing(serving.engine, blessing)
        yield dg.MaterializeResult(
            value=blessing,
            metadata={
                "verdict": blessing.verdict,
                "candidate": manifest.candidate,
                **({} if blessing.gain is None else {"gain": blessing.gain}),
                "dagster/row_count": manifest.judging_rows,
                "dagster/column_schema": columns_schema(manifest.signature.columns),
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in blessing.reasons)),
            },
        )
        yield from rule_results(judgement)

    return model_blessing


def _refuse_champion(serving: ServingStore, manifest: Manifest) -> None:
    """Refuse to judge what serves: it would be compared with itself, and a tie be written down as the verdict on the champion.

    Raises:
        InputError: the candidate serves already.
    """
    try:
        serves = serving.newest()
    except SQLAlchemyError:  # the gate reads it again, and its verdict says what is wrong
        return
    if serves is not None and candidate_of(serving.files, serves.champion) == manifest.candidate:
        raise InputError(
            f"candidate {manifest.candidate[:12]} serves already (epoch {serves.epoch}), with the verdict that it was released by; to judge "
            "another one run the job retrain"
        )


def _champion(promotion: Literal["automatic", "manual"]) -> dg.AssetsDefinition:
    @dg.asset(
        description="The release that serves. Published only for an accepted candidate, and with `promotion: manual` only by a named "
        "person; otherwise the former one stays.",
        group_name="champion",
        kinds={"onnx"},
        owners=["team:data-science"],
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def champion(
        context: dg.AssetExecutionContext,
        candidate_model: CandidateModel,
        model_blessing: Blessing,
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[MlFlow],
    ) -> dg.MaterializeResult[None]:
        blessing, manifest = model_blessing, candidate_model.manifest(serving.files)
        if not blessing.releasable:
            result = _stays(serving, "; ".join(f"{rule.name}: {rule.found}" for rule in failed(blessing)))
        elif promotion == "manual":
            waits = f"an accepted candidate waits for `{how_to_approve(manifest.candidate)}`, or for the job `approve`"
            context.log.info(f"promotion is manual: {waits}")
            result = _stays(serving, waits, waiting=manifest.candidate)
        else:
            row = publish(
                serving.engine,
                serving.files,
                manifest,
                blessing,
                read_epoch=blessing.epoch,
                actor=f"dagster run {context.run_id}",
                reason=context.run.tags.get("churn/reason", "asked for by hand"),
                now_s=clock.now_s(),
            )
            _, mirrored = try_to_mirror(mlflow.tracking_client, serving.files, row)
            context.log.info(mirrored)
            result = _reported(row, manifest, published=True, why=row.reason)
        context.log.info(try_to_log_card(mlflow.tracking_client, serving, manifest, blessing))
        return result

    return champion


def _stays(serving: ServingStore, why: str, **more: str) -> dg.MaterializeResult[None]:
    """Nothing was published."""
    row = serving.newest()
    manifest = None if row is None else load_manifest(serving.files, row.champion)
    return _reported(row, manifest, published=False, why=why, **more)


def _reported(
    row: Serving | None, manifest: Manifest | None, *, published: bool, why: str, **more: str
) -> dg.MaterializeResult[None]:
    """What serves now, if anything does."""
    return dg.MaterializeResult(
        value=None,
        data_version=dg.DataVersion("none" if row is None else row.champion),
        metadata={**facts(row, manifest, published=published, why=why), **more},
    )
