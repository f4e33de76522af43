"""How an asset tells Dagster what it wrote and what its checks found, for one period or for a range of them.

Dagster gives all partitions of a range run the same data version, and an in-asset check one result. So for a range this
module adds, for each period, a materialization with the digest of that period's rows and an evaluation of each check. A
period that breaks its contract is not written; the others are, and the run fails naming the bad one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from churn_assets.contracts import KINDS, violations
from churn_assets.periods import ALL
from churn_assets.resources.lake import Lake, digest
from churn_assets.state import digest_of
from churn_store.signature import Column

Events = Iterator[dg.AssetCheckResult | dg.AssetMaterialization | dg.MaterializeResult[Any]]


@dataclass(frozen=True)
class Outcome:
    """What a check found: whether it passed, in words, with numbers."""

    passed: bool
    found: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A partition in memory, before it is written.

    Attributes:
        frame: its rows.
        checks: outcomes besides those of the contract, by check name.
        metadata: what else there is to say of it.
    """

    frame: pl.DataFrame
    checks: Mapping[str, Outcome] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def contract_specs(
    asset: str, partitions: dg.PartitionsDefinition[Any] | None, *, besides: Mapping[str, str] | None = None
) -> list[dg.AssetCheckSpec]:
    """The blocking checks of a table: the kinds of its contract, and what else by name and description."""
    described = {
        "schema": "exactly the columns of the contract, with their types",
        "nulls": "no missing values where none are allowed",
        "ranges": "every value within its allowed range",
        "unique_keys": "one row a key",
        **(besides or {}),
    }
    return [
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=True, partitions_def=partitions)
        for name, description in described.items()
    ]


def keys_of(context: dg.AssetExecutionContext) -> list[str]:
    """The periods that a run is for; ``all`` where the asset has none."""
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    return [ALL]


def columns_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Described columns as Dagster shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.kind,
                description=" ".join(filter(None, [column.description, f"({column.unit})" if column.unit else ""])) or None,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )


def write_table(
    context: dg.AssetExecutionContext,
    lake: Lake,
    built: Mapping[str, Built],
    *,
    contract: pa.DataFrameSchema,
    sources: Mapping[str, int] | None = None,
) -> Events:
    """Check each partition against its contract, write the good ones in one commit, and report.

    Args:
        context: of the asset; its name is the table's.
        lake: where to.
        built: the partitions by period.
        contract: what each must keep.
        sources: the versions of the tables that were read, to be kept with the commit.

    Raises:
        dagster.Failure: a partition broke its contract; it was not written.
    """
    table = context.asset_key.to_user_string()
    key = list(contract.unique or ())
    found = {period: {**_contract_outcomes(contract, part.frame), **part.checks} for period, part in built.items()}
    good = {
        period: part.frame.sort(key)
        for period, part in built.items()
        if all(outcome.passed for outcome in found[period].values())
    }
    version = lake.replace(table, good, run_id=context.run_id, sources=sources) if good else None
    written = {
        period: {
            "dagster/row_count": frame.height,
            "delta_version": version,
            "data_version": digest(frame, key=key),
            **built[period].metadata,
        }
        for period, frame in good.items()
    }
    shared = {
        "dagster/uri": lake.uri(table),
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, str(column.dtype)) for name, column in contract.columns.items()]
        ),
    }
    yield from report(context, found, written, shared)


def report(
    context: dg.AssetExecutionContext,
    found: Mapping[str, Mapping[str, Outcome]],
    written: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
) -> Events:
    """Report checks and materializations.

    Args:
        context: of the asset.
        found: outcomes by period and check.
        written: metadata by period that was written, with its ``data_version``.
        shared: metadata of the whole asset.

    Raises:
        dagster.Failure: a check failed.
    """
    bad = {
        period: [f"{name}: {outcome.found}" for name, outcome in outcomes.items() if not outcome.passed]
        for period, outcomes in found.items()
    }
    bad = {period: reasons for period, reasons in bad.items() if reasons}
    is_range = len(found) > 1
    if is_range:
        for period, outcomes in found.items():
            for name, outcome in outcomes.items():
                context.log_event(_evaluation(context.asset_key, name, outcome, period))
    for name in next(iter(found.values())):
        yield _whole_result(name, {period: outcomes[name] for period, outcomes in found.items()})
    if bad:
        for period, metadata in written.items():
            context.log_event(_materialization(context.asset_key, period, {**shared, **metadata}))
        raise dg.Failure(
            description="; ".join(
                f"{context.asset_key.to_user_string()}{'' if period == ALL else f' {period}'} was not written: {reasons[0]}"
                + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
                for period, reasons in sorted(bad.items())
            ),
            allow_retries=False,
        )
    versions = [str(metadata["data_version"]) for _, metadata in sorted(written.items())]
    totals = _totals(list(written.values())) if is_range else next(iter(written.values()))
    yield dg.MaterializeResult(
        metadata={**shared, **totals},
        data_version=dg.DataVersion(versions[0] if len(versions) == 1 else digest_of(*versions)),
    )
    if is_range:
        for period, metadata in written.items():
            yield _materialization(context.asset_key, period, {**shared, **metadata})


def _contract_outcomes(contract: pa.DataFrameSchema, frame: pl.DataFrame) -> dict[str, Outcome]:
    broken = violations(contract, frame)
    outcomes = {}
    for kind in KINDS:
        lines = [str(violation) for violation in broken if violation.kind == kind]
        outcomes[kind] = Outcome(not lines, "; ".join(lines) or f"{frame.height} rows keep it", {"rows": frame.height})
    return outcomes


def _whole_result(name: str, by_period: Mapping[str, Outcome]) -> dg.AssetCheckResult:
    failed = {period: outcome for period, outcome in by_period.items() if not outcome.passed}
    if len(by_period) == 1:
        only = next(iter(by_period.values()))
        return dg.AssetCheckResult(
            passed=only.passed, check_name=name, description=only.found, metadata=dict(only.metadata)
        )
    return dg.AssetCheckResult(
        passed=not failed,
        check_name=name,
        description="; ".join(f"{period}: {outcome.found}" for period, outcome in failed.items())
        or f"{len(by_period)} periods keep it",
        metadata={"periods": len(by_period), "failed": len(failed)},
    )


def _evaluation(asset: dg.AssetKey, name: str, outcome: Outcome, period: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=name,
        passed=outcome.passed,
        metadata=dict(outcome.metadata),
        description=outcome.found,
        blocking=True,
        partition=period,
    )


def _materialization(asset: dg.AssetKey, period: str, metadata: Mapping[str, Any]) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key=asset,
        partition=None if period == ALL else period,
        metadata=dict(metadata),
        tags={DATA_VERSION_TAG: str(metadata["data_version"])},
    )


def _totals(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "dagster/row_count": sum(int(part["dagster/row_count"]) for part in parts),
        "delta_version": parts[0]["delta_version"],
        "periods": len(parts),
    }
