"""Candidate, verdict, release: three assets, so that a failed gate can never half-publish."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from dagster_mlflow.resources import MlFlow
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from churn_assets.champion.candidate import better, build, describe
from churn_assets.champion.checks import rule_results, rule_specs
from churn_assets.champion.gate import Case, failed, judge
from churn_assets.champion.tracking import log_candidate, mirror_champion
from churn_assets.code_version import code_version
from churn_assets.evaluation.facts import evaluate, measured
from churn_assets.materialization import columns_schema
from churn_assets.periods import ALL, DAY_S, epoch_s
from churn_assets.raw.source import Source
from churn_assets.resources.lake import Lake, digest
from churn_assets.resources.serving import ServingStore
from churn_assets.settings import Settings
from churn_assets.training.fitting import Fitted
from churn_assets.training.split import JUDGE
from churn_assets.training.training_set import KEY
from churn_assets.wrong_input import wrong_input_is_final
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.manifest import Blessing, Manifest, TableVersion
from churn_store.releases import Serving, load_file, load_manifest, publish, record_blessing, stage
from churn_store.scoring import Scorer


@dataclass(frozen=True)
class CandidateModel:
    """What the gate needs of a candidate besides its files: the trained pipeline, to compare its export with."""

    pipeline: Pipeline
    manifest: Manifest


@dataclass(frozen=True)
class Verdict:
    """A blessing, and the epoch that the gate looked at when it gave it."""

    blessing: Blessing
    read_epoch: int


def champion_assets(settings: Settings, source: Source) -> Sequence[dg.AssetsDefinition]:
    """``candidate_model``, ``model_blessing`` and ``champion``."""
    return [_candidate_model(settings, source), _model_blessing(settings), _champion(settings)]


def _candidate_model(settings: Settings, source: Source) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "The family that was best on the selecting snapshots, exported, measured on the judging ones, and registered."
        ),
        group_name="champion",
        kinds={"onnx", "mlflow"},
        owners=["team:data-science"],
        deps=["training_set"],
        ins={name: dg.AssetIn(name) for name in settings.training.families},
        code_version=code_version("champion", "training"),
    )
    @wrong_input_is_final
    def candidate_model(
        context: dg.AssetExecutionContext,  # noqa: ARG001 - wrong_input_is_final tags its run
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[MlFlow],
        **families: Fitted,
    ) -> dg.MaterializeResult[CandidateModel]:
        version = lake.version("training_set")
        rows = lake.read("training_set", ALL, version=version)
        chosen = better(list(families.values()))
        candidate = build(chosen, rows, seed=settings.training.seed)
        judging = rows.filter(pl.col("role") == JUDGE)
        churned, scores = judging["churned"].to_numpy(), candidate.scorer.score_frame(judging)
        metrics = measured(churned, scores, threshold=chosen.threshold, settings=settings)
        if (best := _ceiling(source, judging, settings)) is not None:
            metrics["auc_ceiling"] = best
        data = TableVersion(version, _digest(rows))
        logged = log_candidate(
            mlflow,
            candidate,
            settings=settings,
            chosen=chosen,
            training_set=rows,
            data=data,
            data_uri=lake.uri("training_set"),
            metrics=metrics,
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
                evaluation=evaluate(judging, scores, threshold=chosen.threshold, settings=settings),
                tables={"training_set": data, **read},
                mlflow=logged,
                now_s=clock.now_s(),
            ),
        )
        return dg.MaterializeResult(
            value=CandidateModel(candidate.pipeline, manifest),
            data_version=dg.DataVersion(manifest.candidate),
            metadata={
                **metrics,
                "family": chosen.family,
                "candidate": manifest.candidate,
                "model_sha256": manifest.files["model.onnx"].sha256,
                "trained_on": ", ".join(manifest.trained_on),
                "judged_on": ", ".join(manifest.judged_on) or "rows held out by customer; the data has no time",
                "split": manifest.split,
                "dagster/row_count": manifest.training_rows,
                "dagster/column_schema": columns_schema(manifest.signature.columns),
                "mlflow_run": logged["run_id"],
                "model_version": logged["model_version"],
                "as_of": clock.now().isoformat(),
            },
        )

    return candidate_model


def _model_blessing(settings: Settings) -> dg.AssetsDefinition:
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
    ) -> Iterator[dg.MaterializeResult[Verdict] | dg.AssetCheckResult]:
        manifest = candidate_model.manifest
        newest = serving.newest()

        def case() -> Case:
            champion = serving.champion()
            judging = judging_rows(lake.read("training_set", ALL), manifest)
            return Case(
                pipeline=candidate_model.pipeline,
                scorer=Scorer(load_file(serving.files, manifest, "model.onnx"), manifest.signature),
                golden=load_file(serving.files, manifest, "golden.json"),
                judging=judging,
                judging_from=judging["snapshot_s"].min() if settings.has_time else None,  # type: ignore[arg-type]
                candidate_trained_until=_trained_until_s(manifest),
                champion=champion,
                champion_trained_until=None if champion is None else _trained_until_s(champion.manifest),
                split=manifest.split,
                champion_split=None if champion is None else champion.manifest.split,
            )

        blessing = judge(
            case,
            candidate=manifest.candidate,
            rules=settings.gate,
            seed=settings.training.seed,
            actor=f"dagster run {context.run_id}",
            now_s=clock.now_s(),
        )
        record_blessing(serving.engine, blessing)
        yield dg.MaterializeResult(
            value=Verdict(blessing, read_epoch=0 if newest is None else newest.epoch),
            metadata={
                "verdict": blessing.verdict,
                "candidate": manifest.candidate,
                "dagster/row_count": manifest.judging_rows,
                "dagster/column_schema": columns_schema(manifest.signature.columns),
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in blessing.reasons)),
            },
        )
        yield from rule_results(blessing)

    return model_blessing


def _champion(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        description="The release that serves. Published only for an accepted candidate; otherwise the former one stays.",
        group_name="champion",
        kinds={"onnx"},
        owners=["team:data-science"],
        code_version=code_version("champion"),
    )
    @wrong_input_is_final
    def champion(
        context: dg.AssetExecutionContext,
        candidate_model: CandidateModel,
        model_blessing: Verdict,
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[MlFlow],
    ) -> dg.MaterializeResult[None]:
        blessing, manifest = model_blessing.blessing, candidate_model.manifest
        if not blessing.releasable:
            stays = serving.newest()
            return _reported(
                stays,
                None if stays is None else load_manifest(serving.files, stays.champion),
                published=False,
                why="; ".join(f"{rule.name}: {rule.found}" for rule in failed(blessing)),
            )
        row = publish(
            serving.engine,
            serving.files,
            manifest,
            blessing,
            read_epoch=model_blessing.read_epoch,
            actor=f"dagster run {context.run_id}",
            reason=context.run.tags.get("churn/reason", "asked for by hand"),
            now_s=clock.now_s(),
        )
        mirrored = mirror_champion(mlflow, model=settings.tracking.model_name, version=manifest.mlflow["model_version"])
        context.log.info(mirrored)
        return _reported(row, manifest, published=True, why=row.reason)

    return champion


def _reported(row: Serving | None, manifest: Manifest | None, *, published: bool, why: str) -> dg.MaterializeResult[None]:
    """What serves now, if anything does."""
    release = "none" if row is None else row.champion
    return dg.MaterializeResult(
        value=None,
        data_version=dg.DataVersion(release),
        metadata={
            "published": published,
            "release": release,
            "epoch": 0 if row is None else row.epoch,
            "why": why,
            "dagster/row_count": 0 if manifest is None else manifest.training_rows,
            "dagster/column_schema": columns_schema(() if manifest is None else manifest.signature.columns),
        },
    )


def judging_rows(training_set: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    """The rows that a candidate is judged on.

    Args:
        training_set: as it is now.
        manifest: the candidate's.

    Raises:
        InputError: it is not the training set that the candidate was made of, so it may judge on rows that trained it.
    """
    made_of, found = manifest.tables["training_set"], _digest(training_set)
    if found != made_of.digest:
        raise InputError(
            f"training_set has changed since the candidate was made of its version {made_of.version} (digest "
            f"{str(made_of.digest)[:12]}, now {found[:12]}); materialize the families and candidate_model first"
        )
    return training_set.filter(pl.col("role") == JUDGE)


def _digest(training_set: pl.DataFrame) -> str:
    return digest(training_set, key=[name for name in KEY if name in training_set.columns])


def _trained_until_s(manifest: Manifest) -> int | None:
    """The end of the last label window that a model was trained on."""
    if manifest.horizon_days is None or not manifest.trained_on:
        return None
    return max(epoch_s(date.fromisoformat(snapshot)) for snapshot in manifest.trained_on) + manifest.horizon_days * DAY_S


def _ceiling(source: Source, judging: pl.DataFrame, settings: Settings) -> float | None:
    """The best AUC that anyone could reach on the judging rows, where the source knows it."""
    known: Any = getattr(source, "probability_of_leaving", None)
    if known is None:
        return None
    horizon_s = settings.label.horizon_days * DAY_S
    churned, probabilities = [], []
    for (snapshot_s,), rows in judging.group_by("snapshot_s", maintain_order=True):
        probabilities.append(known(rows["customer_id"].to_list(), snapshot_s, horizon_s))
        churned.append(rows["churned"].to_numpy())
    return float(roc_auc_score(np.concatenate(churned), np.concatenate(probabilities)))
