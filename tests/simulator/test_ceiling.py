"""`churn simulate --verify`: no model beats the ceiling, and one that knows the future is caught."""

import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.cli.simulate import simulate
from churn_assets.cli.verify_simulator import SETS, SNAPSHOTS, in_words, judge, read_all
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

COMPANY = SyntheticSettings(customers=2_500, months=14)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource(COMPANY)


@pytest.fixture(scope="module")
def tables(source: SyntheticSource) -> dict[Table, pl.DataFrame]:
    return read_all(source, COMPANY)


@pytest.mark.integration
def test_no_family_on_any_set_beats_the_ceiling(source: SyntheticSource, tables: dict[Table, pl.DataFrame]) -> None:
    verdict = judge(source, tables, COMPANY)
    assert verdict.is_kept
    assert len(verdict.models) == len(SETS) * len(Training().families)
    assert len(verdict.snapshots) == SNAPSHOTS
    assert 0.7 < verdict.ceiling < verdict.hidden < 0.9
    assert verdict.ceiling_log_loss > verdict.hidden_log_loss
    for model in verdict.models:
        assert model.low < verdict.ceiling - model.auc < model.high
    assert in_words(verdict)[-1] == "No model beats the ceiling."


@pytest.mark.integration
def test_a_model_that_sees_the_future_is_caught(source: SyntheticSource, tables: dict[Table, pl.DataFrame]) -> None:
    left = tables["events"].filter(event_type="cancelled")
    # A ticket two weeks before each cancellation: a feed that writes its rows back in time.
    told = left.with_columns(
        pl.format("x{}", "event_id").alias("event_id"),
        pl.lit("support_ticket").alias("event_type"),
        pl.col("occurred_s") - 14 * DAY_S,
        pl.col("known_s") - 14 * DAY_S,
    )
    poisoned = {
        **tables,
        "events": pl.concat(
            [
                tables["events"],
                *[told.with_columns(pl.format("{}-{}", "event_id", pl.lit(i)).alias("event_id")) for i in range(5)],
            ]
        ),
    }
    verdict = judge(source, poisoned, COMPANY)
    assert not verdict.is_kept
    assert "BEATS THE CEILING" in "\n".join(in_words(verdict))


def test_a_company_with_too_few_months_is_refused() -> None:
    result = CliRunner().invoke(simulate, ["--verify", "--months", "6", "--customers", "100"])
    assert isinstance(result.exception, InputError)
    assert "ask for at least 10 months" in str(result.exception)
