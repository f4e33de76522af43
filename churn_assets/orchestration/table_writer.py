"""Writes an asset's table and reports to Dagster what was written and what the checks found, for one period or a range.

For a range run Dagster has one data version for all partitions, and one result of each check. So for a range this module adds, for
each period, a materialization with the digest of that period's rows and an evaluation of each check. A period that breaks its
contract is not written; the others are, and the run fails with the name of the bad one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl

from churn_assets.contracts import KINDS, column_types_of, violations
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import sorted_digest
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.lost_periods import FILES_TAG, RANGE, nothing_is_left
from churn_assets.orchestration.run_history import digest_of
from churn_assets.periods import ALL
from churn_store.model.signature import Column

FLUSHED_CELLS = 20_000_000
"""The number of values that are kept in memory before they are written."""

Events = Iterator[dg.AssetCheckResult | dg.AssetMaterialization | dg.MaterializeResult[Any]]


@dataclass(frozen=True)
class Outcome:
    """The result of a check: whether it passed, what it found in words, and the numbers."""

    passed: bool
    found: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A partition in memory, before it is written.

    Attributes:
        frame: rows of the period.
        checks: outcomes of checks other than the contract's, by check name.
        metadata: further metadata of the period.
    """

    frame: pl.DataFrame
    checks: Mapping[str, Outcome] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def contract_specs(
    asset: str, partitions: dg.PartitionsDefinition[Any] | None, *, besides: Mapping[str, str] | None = None
) -> list[dg.AssetCheckSpec]:
    """The blocking checks of a table: one for each kind of violation, and further ones by name and description."""
    described = {
        "schema": "exactly the columns of the contract, with their types",
        "nulls": "no missing values where none are allowed",
        "ranges": "every value within its allowed range",
        "unique_keys": "one row a key",
        **(besides or {}),
    }
    return blocking_checks(asset, partitions, described)


def blocking_checks(
    asset: str, partitions: dg.PartitionsDefinition[Any] | None, described: Mapping[str, str]
) -> list[dg.AssetCheckSpec]:
    """Checks of a table by name and description."""
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


class TableWriter:
    """Writes a table's partitions as they are added, and reports them at the end.

    A partition whose checks fail is not written. The others are flushed after every ``FLUSHED_CELLS`` values, so that a range of any
    length needs only the memory of some periods. Each flush is one commit.

    Args:
        context: execution context of the asset.
        lake: lake to write to.
        table: name of the asset and of the table.
        contract: contract of the table's columns.
        sources: versions of the tables that were read, to be kept with the commit.
        order: columns that rows are sorted by within a partition; default: the key.
        apart: whether a row must lie in only one partition. Stored partitions are then replaced in one commit: otherwise a process
            that dies in between could leave a moved row in two partitions, or in none.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        lake: Lake,
        table: str,
        contract: pa.DataFrameSchema,
        *,
        sources: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        apart: bool = False,
    ) -> None:
        self._context, self._lake, self._table, self._contract, self._sources = context, lake, table, contract, sources
        self._order = list(order)
        self._replaced_together = set(lake.periods(table)) if apart and lake.has(table) else set()
        self._key = list(contract.unique or ())
        self._found: dict[str, Mapping[str, Outcome]] = {}
        self._written: dict[str, dict[str, Any]] = {}
        self._pending: dict[str, pl.DataFrame] = {}
        self._is_first = True

    def add(self, period: str, built: Built) -> None:
        """Add a partition; it is written if all checks in ``built`` have passed."""
        self._found[period] = built.checks
        if not all(outcome.passed for outcome in built.checks.values()):
            return
        # A table without a key may have equal rows: sorting by all columns makes their order unique as well.
        key = self._key or built.frame.columns
        frame = built.frame.select(list(self._contract.columns)).sort(key)  # once, for the digest and the table
        self._written[period] = {
            "dagster/row_count": frame.height,
            "data_version": sorted_digest(frame),
            **built.metadata,
        }
        self._pending[period] = frame.sort(self._order, maintain_order=True) if self._order else frame
        much = sum(waiting.height * waiting.width for waiting in self._pending.values()) >= FLUSHED_CELLS
        if much and self._replaced_together.isdisjoint(self._pending) and self._lake.takes(self._table, frame):
            self._flush()

    def refuse(self, period: str, checks: Mapping[str, Outcome]) -> None:
        """Say why a partition is not written; those that are go on."""
        self._found[period] = checks

    def data_version(self, period: str) -> str | None:
        """The data version of a period that was added in this run; `None` where a check refused it."""
        written = self._written.get(period)
        return None if written is None else str(written["data_version"])

    def rows(self, period: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of a period: those added in this run, else those in the lake."""
        wanted = list(columns or self._contract.columns)
        if period in self._pending:
            return self._pending[period].select(wanted)
        if self._lake.has(self._table):
            return self._lake.read(self._table, period, columns=wanted)
        types = column_types_of(self._contract)
        return pl.DataFrame(schema={name: types[name] for name in wanted})

    def finish(self) -> None:
        """Write what is still waiting."""
        if self._pending:
            self._flush()

    def events(self) -> Events:
        """The check results and materializations.

        Raises:
            dagster.Failure: if a check failed; its partition was not written.
        """
        self.finish()
        shared = {
            "dagster/uri": self._lake.shown_uri(self._table),
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(name, str(column.dtype), description=column.description)
                    for name, column in self._contract.columns.items()
                ]
            ),
        }
        yield from report(self._context, dg.AssetKey(self._table), self._found, self._written, shared)

    def _flush(self) -> None:
        done = self._lake.replace(
            self._table,
            self._pending,
            run_id=self._context.run_id,
            sources=self._sources,
            # Only before the first write: afterwards what this run wrote is not recorded yet.
            is_foreign=partial(nothing_is_left, self._context.instance, self._lake, self._table)
            if self._is_first
            else None,
        )
        self._is_first = False
        for period in self._pending:
            self._written[period] |= {"delta_version": done.version, "files": done.files[period]}
        self._pending = {}


def write_table(
    context: dg.AssetExecutionContext,
    lake: Lake,
    built: Iterable[tuple[str, Built]],
    *,
    contract: pa.DataFrameSchema,
    sources: Mapping[str, int] | None = None,
    when_added: Callable[[str, str], None] | None = None,
) -> Events:
    """Check each partition against its contract, write the good ones, and report.

    Args:
        context: execution context of the asset, whose name is the table's.
        lake: lake to write to.
        built: partitions with their periods, computed one after the other.
        contract: contract of the table.
        sources: versions of the tables that were read, to be kept with the commit.
        when_added: function that hears of each good partition, with its data version, before the next one is computed.

    Raises:
        dagster.Failure: if a partition broke its contract; it was not written.
    """
    writer = TableWriter(context, lake, context.asset_key.to_user_string(), contract, sources=sources)
    for period, part in built:
        checks = {**_contract_outcomes(contract, part.frame), **part.checks}
        writer.add(period, Built(part.frame, checks=checks, metadata=part.metadata))
        if when_added is not None and (version := writer.data_version(period)) is not None:
            when_added(period, version)
    yield from writer.events()


def report(
    context: dg.AssetExecutionContext,
    asset: dg.AssetKey,
    found: Mapping[str, Mapping[str, Outcome]],
    written: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
) -> Events:
    """Report checks and materializations.

    Args:
        context: execution context of the asset.
        asset: name of the asset.
        found: outcomes by period and check; all periods have the same checks, or none.
        written: metadata of each written period, with its ``data_version`` and the digest of its ``files``.
        shared: metadata of the whole asset.

    Raises:
        dagster.Failure: if a check failed.
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
                context.log_event(_evaluation(asset, name, outcome, period))
    for name in next(iter(found.values())):
        yield _whole_result(asset, name, {period: outcomes[name] for period, outcomes in found.items()})
    if bad:
        for period, metadata in written.items():
            context.log_event(_materialization(asset, period, {**shared, **metadata}))
        raise dg.Failure(
            description="; ".join(
                f"{asset.to_user_string()}{'' if period == ALL else f' {period}'} was not written: {reasons[0]}"
                + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
                for period, reasons in sorted(bad.items())
            ),
            allow_retries=False,
        )
    versions = [str(metadata["data_version"]) for _, metadata in sorted(written.items())]
    totals = _totals(list(written.values())) if is_range else next(iter(written.values()))
    yield dg.MaterializeResult(
        asset_key=asset,
        metadata={**shared, **totals},
        data_version=dg.DataVersion(versions[0] if len(versions) == 1 else digest_of(*versions)),
        tags=None if is_range else {FILES_TAG: str(totals["files"])},
    )
    if is_range:
        for period, metadata in written.items():
            yield _materialization(asset, period, {**shared, **metadata})


def _contract_outcomes(contract: pa.DataFrameSchema, frame: pl.DataFrame) -> dict[str, Outcome]:
    broken = violations(contract, frame)
    outcomes = {}
    for kind in KINDS:
        lines = [str(violation) for violation in broken if violation.kind == kind]
        outcomes[kind] = Outcome(not lines, "; ".join(lines) or f"{frame.height} rows keep it", {"rows": frame.height})
    return outcomes


def _whole_result(asset: dg.AssetKey, name: str, by_period: Mapping[str, Outcome]) -> dg.AssetCheckResult:
    failed = {period: outcome for period, outcome in by_period.items() if not outcome.passed}
    if len(by_period) == 1:
        only = next(iter(by_period.values()))
        return dg.AssetCheckResult(
            asset_key=asset, passed=only.passed, check_name=name, description=only.found, metadata=dict(only.metadata)
        )
    return dg.AssetCheckResult(
        asset_key=asset,
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
        tags=_tags(metadata),
    )


def _tags(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {DATA_VERSION_TAG: str(metadata["data_version"]), FILES_TAG: str(metadata["files"])}


def _totals(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    versions = [int(part["delta_version"]) for part in parts if "delta_version" in part]
    return {
        "dagster/row_count": sum(int(part["dagster/row_count"]) for part in parts),
        **({"delta_version": max(versions)} if versions else {}),
        RANGE: len(parts),
    }
