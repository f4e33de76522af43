"""The training set, and one asset for each model family."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import Built, Events, contract_specs, write_table
from churn_assets.periods import ALL
from churn_assets.reporting.rounding import rounded
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import Tracking
from churn_assets.settings.company import Settings
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.label import Label, matures_on
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN, WEIGHT
from churn_assets.training.contracts import no_single_feature_tells, training_contract
from churn_assets.training.diagnostics import MEASURED_ON, order, search_summary, selecting_plots
from churn_assets.training.equal_rows import equal_rows
from churn_assets.training.families import FAMILIES
from churn_assets.training.fitted_family import MODEL, FittedFamily, store_fitted
from churn_assets.training.fitting import training_rows
from churn_assets.training.leakage import single_feature_aucs
from churn_assets.training.peak_memory import peak_memory_mib
from churn_assets.training.preconditions import constant_features
from churn_assets.training.protection import require_allowed
from churn_assets.training.search_space import search_space
from churn_assets.training.split import roles_by_id, roles_by_time
from churn_assets.training.tracking import log_fitted
from churn_assets.training.training_set import (
    check_enough,
    rows_by_customer,
    rows_by_time,
    snapshots,
    training_set_digest,
)
from churn_assets.training.treated import Untreated, as_weighed, without_treated
from churn_assets.training.tuning import search_and_fit
from churn_assets.treatments.records import TABLE as TREATMENTS
from churn_assets.treatments.records import known_customers, set_aside_between, treatments_between
from churn_assets.treatments.weights import touching
from churn_store.charts.svg_chart import as_markdown
from churn_store.clock import DAY_S, Clock
from churn_store.errors import InputError
from churn_store.releases.manifest import TableVersion


def training_assets(
    settings: Settings, features: tuple[Feature, ...], *, protected: Mapping[str, str] | None = None
) -> Sequence[dg.AssetsDefinition]:
    """``training_set`` and the configured families.

    Args:
        settings: the company's settings.
        features: features that models see.
        protected: why each protected one may be used, by its name; empty where nobody has said so.

    Raises:
        InputError: a family is named twice or not installed, or a search space makes no sense.
    """
    names = settings.training.families
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"training.families names {', '.join(twice)} more than once; name each family once")
    for name in names:
        FAMILIES[name].require_installed()
    for searched_family in settings.training.search:
        search_space(FAMILIES[searched_family], settings.training)
    return [
        _training_set(
            settings.fitting,
            features,
            words=settings.features.protected,
            protected=protected or {},
            has_own_treatments=TREATMENTS in settings.raw_tables,
        ),
        *(_family(name, settings.fitting, features) for name in names),
    ]


def _training_set(
    settings: FittingSettings,
    features: tuple[Feature, ...],
    *,
    words: tuple[str, ...],
    protected: Mapping[str, str],
    has_own_treatments: bool,
) -> dg.AssetsDefinition:
    made_of = ["customer_features", "churn_labels", *([TREATMENTS] if has_own_treatments else [])]

    @dg.asset(
        description=(
            "Features and labels of mature snapshots. Each row trains, selects between the families, or judges; the three "
            "are apart by one horizon."
            if settings.has_time
            else "Features and labels of every customer with a label, split by customer, equal rows on one side: the data has no time, "
            "so its order can't be checked."
        ),
        group_name="training",
        pool=BACKGROUND,
        kinds={"polars", "deltalake"},
        owners=["team:data-science"],
        deps=made_of,
        check_specs=contract_specs(
            "training_set",
            None,
            besides={"no_single_feature_tells": "no feature alone orders the rows by their label better than is plausible"},
        ),
        code_version=code_version("training"),
    )
    @wrong_input_is_final
    def training_set(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Events:
        if warning := require_allowed(protected, serving):
            context.log.warning(warning)
        sources = whole_versions(context.instance, lake, made_of)
        rows = (
            rows_by_time(lake, sources, _roles(lake, sources, settings.label, settings.training, as_of=clock.now().date()))
            if settings.has_time
            else rows_by_customer(lake, sources, settings.training, inputs=[feature.name for feature in features])
        )
        metadata: dict[str, Any] = {"protected_attributes": warning} if warning else {}
        if settings.has_time:
            untreated = _without_treated(rows, lake, serving, sources, settings.label)
            rows = untreated.rows
            metadata |= untreated.metadata
        check_enough(rows, settings.training)
        roles = {role: rows.filter(pl.col("role") == role) for role in (TRAIN, SELECT, JUDGE)}
        for role, part in roles.items():
            metadata[f"{role}_rows"] = part.height
            metadata[f"{role}_churn_rate"] = float(part["churned"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
            if settings.has_time:
                metadata[f"{role}_snapshots"] = ", ".join(snapshots(part))
        metadata["constant_features"] = ", ".join(constant_features(roles[TRAIN], features)) or "none"
        contract = training_contract(
            features, has_time=settings.has_time, protected=words, allowed=protected, is_weighted=WEIGHT in rows.columns
        )
        alone = no_single_feature_tells(single_feature_aucs(rows, features), settings.training.single_feature_auc)
        frame = rows.select(list(contract.columns))
        if not settings.has_time:
            equal = equal_rows(frame, by_id=roles_by_id(frame["customer_id"], settings.training), roles=frame["role"])
            metadata |= {"equal_rows": equal.rows, "equal_rows_moved": equal.moved}
        metadata |= {f"{table}_version": version for table, version in sources.items()}
        built = {ALL: Built(frame, checks={"no_single_feature_tells": alone}, metadata=metadata)}
        yield from write_table(context, lake, built.items(), contract=contract, sources=sources)

    return training_set


def _without_treated(
    rows: pl.DataFrame, lake: Lake, serving: ServingStore, sources: Mapping[str, int], label: Label
) -> Untreated:
    """The rows without those of treated customers, by the company's own table and by what the service received."""
    if not rows.height:
        return Untreated(rows, {})
    horizon_s = label.horizon_days * DAY_S
    start_s, _ = touching(int(rows["snapshot_s"].min()), horizon_s)  # type: ignore[arg-type]
    _, end_s = touching(int(rows["snapshot_s"].max()), horizon_s)  # type: ignore[arg-type]
    own = lake if TREATMENTS in sources else None
    treatments = treatments_between(
        own, serving.engine_if_made(), start_s=start_s, end_s=end_s, version=sources.get(TREATMENTS)
    )
    if not treatments.height:
        return Untreated(rows, {})
    return without_treated(
        rows,
        treatments,
        horizon_s=horizon_s,
        everyone=known_customers(lake),
        set_aside=0 if own is None else set_aside_between(own, start_s=start_s, end_s=end_s),
    )


class Wanted(dg.Config):
    """What a run may ask of a family, in the launchpad or by `churn train`."""

    parameters: dict[str, Any] = Field(default={}, description="of the estimator, by name; the search leaves them alone")
    trials: int | None = Field(default=None, description="of the search; default: training.trials; 1 takes the defaults")
    seed: int | None = Field(default=None, description="of the estimator and the search; default: training.seed")
    left_out: bool = Field(default=False, description="not fitted in this run, and no candidate of it")


def _family(name: str, settings: FittingSettings, features: tuple[Feature, ...]) -> dg.AssetsDefinition:
    family = FAMILIES[name]

    @dg.asset(
        name=name,
        description=(
            f"{family.description} Its parameters are searched on the training rows, on which it is then fitted; calibrated and "
            "measured on the selecting ones."
        ),
        group_name="training",
        pool=BACKGROUND,
        kinds={"scikitlearn" if family.package is None else family.package, "onnx", "mlflow"},
        owners=["team:data-science"],
        deps=["training_set"],
        code_version=code_version("training"),
    )
    @wrong_input_is_final
    def model(
        context: dg.AssetExecutionContext,
        config: Wanted,
        lake: dg.ResourceParam[Lake],
        serving: dg.ResourceParam[ServingStore],
        mlflow: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult[FittedFamily]:
        version = whole_versions(context.instance, lake, ["training_set"])["training_set"]
        rows = lake.read("training_set", ALL, version=version)
        made_of = TableVersion(version, training_set_digest(rows))
        if config.left_out:
            left_out = "not fitted: this run has left the family out"
            columns = tuple(feature.column for feature in features)
            return dg.MaterializeResult(
                value=FittedFamily.without(name, made_of, columns),
                metadata={"left_out": left_out, "training_set_version": version},
            )
        weighed = as_weighed(rows)
        fitted = search_and_fit(
            name,
            weighed,
            features,
            settings,
            data=made_of,
            fixed=config.parameters,
            trials=config.trials,
            seed=config.seed,
        )
        kept = store_fitted(serving.files, fitted, weighed, seed=settings.training.seed)
        drawn = selecting_plots(fitted, weighed, settings)
        run_id = log_fitted(
            mlflow,
            fitted,
            training_set=rows,
            data_uri=lake.shown_uri("training_set"),
            pictures=drawn,
            tags={"dagster_run_id": context.run_id},
            parameters=settings.training.model_dump(include={"minimum_correlation", "resampling"}),
        )
        return dg.MaterializeResult(
            value=kept,
            metadata={
                **{name: rounded(value) for name, value in fitted.measures.items()},
                "threshold": rounded(fitted.threshold),
                "measured_on": MEASURED_ON,
                "order": order(fitted.pipeline),
                "parameters": dict(fitted.parameters),
                "ignored": ", ".join(fitted.ignored) or "none",
                "constant_features": ", ".join(fitted.constant) or "none",
                **search_summary(fitted),
                **{
                    f"picture_{name}": dg.MetadataValue.md(as_markdown(svg, name.replace("_", " ")))
                    for name, svg in drawn.items()
                },
                "training_set_version": version,
                "configured": fitted.configured,
                "model_sha256": kept.files[MODEL],
                "peak_memory_mib": peak_memory_mib(),
                "dagster/row_count": training_rows(rows, settings.training, seed=fitted.seed).height,
                "seed": fitted.seed,
                "mlflow_run": run_id,
            },
        )

    return model


def _roles(lake: Lake, sources: Mapping[str, int], label: Label, training: Training, *, as_of: date) -> dict[str, str]:
    """The role of each labelled snapshot that has one."""
    labelled = [date.fromisoformat(period) for period in lake.periods("churn_labels", version=sources["churn_labels"])]
    mature = [snapshot for snapshot in labelled if matures_on(snapshot, label) <= as_of]
    roles = roles_by_time(mature, horizon=label.horizon, training=training)
    return {snapshot.isoformat(): role for snapshot in mature if (role := roles.of(snapshot)) is not None}
