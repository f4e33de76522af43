"""Which evaluation of a check speaks of the table that is there: real runs, of tables with periods and without."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from churn_assets.champion import checks
from churn_assets.champion.checks import evaluated

PERIODS = dg.StaticPartitionsDefinition(["2025-01-01", "2025-02-01"])


@dataclass
class Table:
    """An asset with a check, and how its runs end."""

    instance: dg.DagsterInstance
    period: str | None
    ends: str = "passes"
    asset: dg.AssetsDefinition = field(init=False)

    def __post_init__(self) -> None:
        partitions = None if self.period is None else PERIODS

        @dg.asset(
            partitions_def=partitions,
            check_specs=[dg.AssetCheckSpec("schema", asset="rows", blocking=True, partitions_def=partitions)],
        )
        def rows() -> Iterator[Any]:
            if self.ends == "raises":
                raise dg.Failure("fewer rows than the minimum", allow_retries=False)
            if self.ends != "forgets":
                yield dg.AssetCheckResult(check_name="schema", passed=self.ends == "passes")
            if self.ends == "breaks":
                raise dg.Failure("a row breaks the contract; it was not written", allow_retries=False)
            yield dg.MaterializeResult()

        self.asset = rows

    def run(self, ends: str) -> None:
        """A run that ends in some way."""
        self.ends = ends
        dg.materialize([self.asset], instance=self.instance, partition_key=self.period, raise_on_error=False)

    @property
    def status(self) -> str:
        """How the gate says that the check was evaluated."""
        [found] = evaluated(self.instance, list(self.asset.check_specs), required={"rows": [self.period]}, besides={})
        return found.status


@pytest.fixture(params=[None, "2025-01-01"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Table(instance, request.param)


def test_a_run_that_failed_before_it_wrote_hides_no_evaluation(table: Table) -> None:
    table.run("passes")
    assert table.status == "passed"
    for _ in range(3):
        table.run("raises")
        assert table.status == "passed"


def test_an_evaluation_behind_pages_of_runs_that_wrote_nothing_is_found(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PAGE", 2)
    table.run("passes")
    for _ in range(5):
        table.run("raises")
    assert table.status == "passed"


def test_a_run_that_broke_the_contract_and_wrote_nothing_leaves_the_table_as_it_was(table: Table) -> None:
    table.run("passes")
    table.run("breaks")
    assert table.status == "passed"


def test_a_check_that_the_run_which_wrote_the_table_never_evaluated_is_not_green(table: Table) -> None:
    table.run("passes")
    table.run("forgets")
    assert table.status == "not evaluated"
    table.run("raises")
    assert table.status == "not evaluated"
    table.run("passes")
    assert table.status == "passed"


def test_a_table_that_was_never_written_is_not_green_whatever_was_evaluated(table: Table) -> None:
    assert table.status == "not evaluated"
    table.run("raises")
    assert table.status == "not evaluated"
    table.run("breaks")
    assert table.status == "not evaluated"


def test_an_evaluation_by_hand_after_the_run_counts(table: Table) -> None:
    table.run("passes")
    table.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("rows"), check_name="schema", passed=False, metadata={}, partition=table.period
        )
    )
    assert table.status == "failed"
    table.run("raises")
    assert table.status == "failed"
