"""Scores of everyone at risk, and the online features that the service looks up."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.todays_customers import features_at_risk
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import SCORES
from churn_assets.orchestration.table_writer import Built, Events, columns_schema, contract_specs, keys_of, write_table
from churn_assets.periods import epoch_s
from churn_assets.reporting.rounding import rounded
from churn_assets.resources.serving import ServingStore
from churn_assets.scoring.contracts import scores_contract
from churn_assets.scoring.in_sample import in_sample
from churn_store.batch.reasons import REASON_COLUMNS, reasons_of
from churn_store.batch.scores import scores_of
from churn_store.clock import Clock
from churn_store.errors import InputError, ReleaseError
from churn_store.releases.bundles import Bundle
from churn_store.releases.explaining import explainer_of
from churn_store.storage.online_store import newest_snapshot, write_snapshot


def scoring_assets(
    features: tuple[Feature, ...], partitions: dg.PartitionsDefinition[Any] | None, *, has_time: bool, online_url: str
) -> Sequence[dg.AssetsDefinition]:
    """``churn_scores`` and ``online_features``.

    Args:
        features: all features of the company.
        partitions: periods of a history.
        has_time: whether the data is a history.
        online_url: address of the online features, by which the kind of their store is known.
    """
    return [
        _churn_scores(partitions, has_time=has_time),
        _online_features(features, partitions, has_time=has_time, online_url=online_url),
    ]


def _churn_scores(partitions: dg.PartitionsDefinition[Any] | None, *, has_time: bool) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "The probability of churn of every customer at risk at the snapshot, by the release that serves, with the strongest reasons."
            if has_time
            else "The probability of churn of every customer at risk, by the release that serves, with the strongest reasons; `in_sample` marks those that it was "
            "trained on. Who left is not in it."
        ),
        group_name="scoring",
        pool=SCORES,
        kinds={"onnx", "deltalake"},
        owners=["team:retention"],
        partitions_def=partitions,
        deps=[*_read(has_time=has_time), "champion"],
        check_specs=contract_specs("churn_scores", partitions),
        code_version=code_version("scoring"),
    )
    @wrong_input_is_final
    def churn_scores(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], serving: dg.ResourceParam[ServingStore]
    ) -> Events:
        [key] = keys_of(context)
        bundle = serving.champion()
        if bundle is None:
            raise InputError("no release serves yet; materialize the asset champion first")
        sources = whole_versions(context.instance, lake, ["customer_features"])
        rows = features_at_risk(lake, key, version=sources["customer_features"], has_time=has_time)
        if lacking := [name for name in bundle.manifest.signature.names if name not in rows.columns]:
            raise InputError(
                f"customer_features {key} has no {', '.join(lacking)}, which the serving release was trained on; train and "
                "release a model of the present features first (`churn approve ID --override` releases a rejected candidate of them)"
            )
        reasons, unexplained = _reasons(bundle, rows)
        scores = rows.select(pl.col("^customer_id|snapshot_s$")).hstack(scores_of(bundle, rows)).hstack(reasons)
        metadata: dict[str, Any] = {
            "at_risk": scores.height,
            "called_churn": int(scores["churn"].sum()),
            "mean_probability": rounded(float(scores["probability"].mean() or 0.0)),  # type: ignore[arg-type]
            "threshold": rounded(bundle.manifest.threshold),
            "family": bundle.manifest.family,
            "snapshot": key,
            "release": bundle.digest,
            "strongest_reasons": unexplained or _strongest(reasons),
        }
        if not has_time:
            scores = scores.with_columns(in_sample(rows["customer_id"], bundle.manifest, lake))
            metadata |= {
                "in_sample": int(scores["in_sample"].sum()),
                "in_sample_unknown": scores["in_sample"].null_count(),
            }
        contract = scores_contract(has_time=has_time)
        built = {key: Built(scores, metadata=metadata)}
        yield from write_table(context, lake, built.items(), contract=contract, sources=sources)

    return churn_scores


def _online_features(
    features: tuple[Feature, ...], partitions: dg.PartitionsDefinition[Any] | None, *, has_time: bool, online_url: str
) -> dg.AssetsDefinition:
    @dg.asset(
        description="The newest snapshot's features by customer at risk, where the service looks them up.",
        group_name="scoring",
        pool=SCORES,
        kinds={"redis" if online_url.startswith("redis") else "sqlite"},
        owners=["team:retention"],
        partitions_def=partitions,
        deps=_read(has_time=has_time),
        code_version=code_version("scoring"),
    )
    @wrong_input_is_final
    def online_features(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> dg.MaterializeResult[None]:
        [key] = keys_of(context)
        snapshot_s = epoch_s(date.fromisoformat(key)) if has_time else None
        serves = asyncio.run(newest_snapshot(serving.online_url))
        if (
            serves is not None
            and serves.snapshot_s is not None
            and snapshot_s is not None
            and serves.snapshot_s > snapshot_s
        ):
            raise dg.Failure(
                description=f"the service looks up snapshot {serves.name}, which is newer than {key}; nothing was replaced",
                allow_retries=False,
            )
        columns = [feature.name for feature in features]
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        rows = features_at_risk(lake, key, version=version, has_time=has_time).sort("customer_id")
        snapshot = write_snapshot(
            serving.online_url,
            name=key,
            snapshot_s=snapshot_s,
            columns=columns,
            rows=_by_customer(rows, columns),
            now_s=clock.now_s(),
        )
        return dg.MaterializeResult(
            value=None,
            data_version=dg.DataVersion(snapshot.digest),
            metadata={
                "dagster/row_count": snapshot.rows,
                "dagster/column_schema": columns_schema(feature.column for feature in features),
                "snapshot": key,
                "columns": len(columns),
                "digest": snapshot.digest,
            },
        )

    return online_features


def _reasons(bundle: Bundle, rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The reasons of each row; empty columns, and why, where the release can't be explained."""
    try:
        return reasons_of(explainer_of(bundle), rows), ""
    except ReleaseError as error:
        return pl.DataFrame({name: [None] * rows.height for name in REASON_COLUMNS}, schema=REASON_COLUMNS), str(error)


def _strongest(reasons: pl.DataFrame) -> str:
    """How many customers have each reason as their strongest, the most frequent first."""
    counted = reasons["reason_1"].drop_nulls().value_counts().sort("count", "reason_1", descending=[True, False])
    return ", ".join(f"{code} {count:,}" for code, count in counted.iter_rows()) or "none"


def _read(*, has_time: bool) -> list[str]:
    """The tables that say who is at risk, and what is known of them."""
    return ["customer_features"] if has_time else ["customer_features", "customers"]


def _by_customer(rows: pl.DataFrame, columns: list[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for customer_id, *values in rows.select("customer_id", *columns).iter_rows():
        yield customer_id, tuple(values)
