"""A tracking bug in the graph: its month is blocked, told and never learned from, those after it wait, and all catch up by themselves."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner

from churn_assets.automation.jobs import FEATURES, INGEST, LABELS, RETRAIN
from churn_assets.automation.runner import why
from churn_assets.cli.quality.accept import accept
from churn_assets.cli.quality.findings import findings
from churn_assets.doctor.quality import quality_in_words
from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.orchestration.run_history import data_versions
from churn_assets.quality.acceptances import Acceptance
from churn_assets.quality.acceptances import accept as accept_it
from churn_assets.quality.findings import blocking_findings
from churn_assets.simulator.scenarios import Scenario
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.alerts.log import newest_alerts, open_alerts
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from tests.automation.asking import asked_by
from tests.automation.company import CALENDAR, START, TABLES, write_company, write_month
from tests.automation.test_lost_tables import APR, MAR, MAY, Company

pytestmark = pytest.mark.integration

CUSTOMERS, CHURN = 1_500, 0.12
JUN, JUL, AUG = (f"2024-0{month}-01" for month in range(6, 9))
LACKED = "days_since_last_payment"
BUG = Scenario(kind="tracking_bug", start=dt.date.fromisoformat(MAY))


def deliver(folder: Path, month: str, table: Table, *, scenario: Scenario | None = None) -> None:
    settings = SyntheticSettings(
        customers=CUSTOMERS, start=START, months=12, monthly_churn=CHURN, scenario=scenario or Scenario()
    )
    write_month(folder, table, month, SyntheticSource(settings).read(table, *CALENDAR.bounds_s(month)).rows)


def ingest(company: Company) -> list[str]:
    """Run what the sensor asks for; why each run failed."""
    failures = []
    for request in company.requests(INGEST):
        done = company.run(INGEST, dict(request.tags), request.partition_key)
        failures += [] if done.success else [why(done)[0]]
    return failures


def watch(company: Company) -> str:
    """What the sensor of the alerts says."""
    with dg.build_sensor_context(instance=company.instance, repository_def=company.defs.get_repository_def()) as context:
        found = company.defs.resolve_sensor_def("watch_quality").evaluate_tick(context)
    assert not found.run_requests
    return found.skip_message or ""


def again(company: Company, day: str) -> Company:
    """The company as a new code server loads it, on a day."""
    made = Company(company.settings.home, company.instance, says_when_known=True)
    made.settings.clock.fix(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00"))
    return made


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company in the files of whose newest month there is a tracking bug."""
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"home": str(tmp_path)}))
    write_company(tmp_path, customers=CUSTOMERS, until=dt.date(2024, 6, 1))
    for table in ("events", "payments"):
        deliver(tmp_path, MAY, table, scenario=BUG)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        made = Company(tmp_path, instance, says_when_known=True)
        migrate(made.settings.database_url)
        yield made


def test_a_tracking_bug_blocks_its_month_until_it_is_corrected_or_accepted(company: Company) -> None:
    blocks_its_month(company)
    company = later_months_wait(company)
    engine = connect(company.settings.database_url)
    it_is_told(company, engine)
    accepted_it_is_let_pass(company, engine)
    corrected_all_catch_up(company, engine)
    engine.dispose()


def test_a_snapshot_with_too_many_missing_features_stops_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=400, until=dt.date(2024, 8, 1))
    right = PolarsEngine.snapshots

    def spoiled(engine: PolarsEngine, history: History, days: Sequence[dt.date]) -> Iterator[tuple[dt.date, pl.DataFrame]]:
        for day, frame in right(engine, history, days):
            is_hit = (pl.int_range(pl.len()) % 2 == 0) & pl.lit(day.isoformat() == JUL)
            yield day, frame.with_columns(pl.when(~is_hit).then(LACKED).alias(LACKED))

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        company = again(Company(tmp_path, instance, says_when_known=True), AUG)
        assert ingest(company) == []
        with monkeypatch.context() as broken:
            broken.setattr(PolarsEngine, "snapshots", spoiled)
            [request] = company.requests(FEATURES)
            done = company.run(FEATURES, dict(request.tags), request.partition_key)
        assert f"customer_features {JUL} was not written: quality: " in why(done)[0]
        assert stored(company, "customer_features") == {MAR, APR, MAY, JUN, AUG}
        [found] = blocking_findings(company.lake)
        assert (found.table, found.period, found.kind, found.column) == (
            "customer_features",
            JUL,
            "missing_features",
            LACKED,
        )
        assert company.asked(FEATURES) == [], "nothing has changed"
        accept_it(company.lake, Acceptance(1, "customer_features", JUL, "missing_features", "it is so", "ada"))
        assert company.asked(FEATURES) == [JUL]
        company.answer(FEATURES)
        assert blocking_findings(company.lake) == []


def blocks_its_month(company: Company) -> None:
    [failure] = ingest(company)
    assert (
        f"events {MAY} was not written: quality: events {MAY}: 2 of 3,270 rows have the event_type feature_used; exp"
        in failure
    )
    assert MAY in stored(company, "customers")
    assert MAY not in stored(company, "events") | stored(company, "payments")
    [check] = [one for one in checks(company, "payments") if one.partition == MAY]
    assert not check.passed
    assert check.blocking
    assert "of amount_cents are 100 times as small as before" in (check.description or "")
    company.answer(FEATURES)
    assert stored(company, "customer_features") == {MAR, APR, MAY}, "the last good one reads April"
    assert ingest(company) == [], "nothing has changed"


def later_months_wait(company: Company) -> Company:
    for month in (JUN, JUL):
        for table in TABLES:
            deliver(company.settings.home, month, table)
    company = again(company, AUG)
    [failure] = ingest(company)
    assert JUN not in failure, "a month that is right is ingested although the one before is not"
    assert JUL in stored(company, "events")
    assert company.asked(FEATURES) == [], "their windows would reach into the broken month"
    company.answer(LABELS)
    assert stored(company, "churn_labels") == {MAR}, "those of April need May's arrivals"
    assert asked_by(company.defs, company.instance, RETRAIN)[0] == []
    return company


def it_is_told(company: Company, engine: sa.Engine) -> None:
    assert f"events {MAY}: 2 of 3,270 rows have the event_type feature_used" in watch(company)
    causes = {f"quality/events/{MAY}/vanished", f"quality/payments/{MAY}/unit_changed"}
    assert {one.alert.cause for one in open_alerts(engine)} == causes
    with pytest.raises(InputError, match=f"The scores of snapshot {MAY} stand meanwhile"):
        probed(company)
    assert "blocks  unit_changed" in CliRunner().invoke(findings, []).output


def accepted_it_is_let_pass(company: Company, engine: sa.Engine) -> None:
    words = [MAY, "--kind", "unit_changed", "--by", "ada", "--reason", "we bill in euros now"]
    wrong = CliRunner().invoke(accept, ["events", *words])
    assert f"what blocks and can be accepted: events {MAY} --kind vanished; payments {MAY} --kind" in str(wrong.exception)
    assert company.asked(INGEST) == []
    assert CliRunner().invoke(accept, ["payments", *words]).exit_code == 0
    assert company.asked(INGEST) == [MAY]
    [failure] = ingest(company)
    assert f"events {MAY} was not written" in failure
    assert MAY in stored(company, "payments")
    watch(company)
    assert {one.alert.cause for one in open_alerts(engine)} == {f"quality/events/{MAY}/vanished"}


def corrected_all_catch_up(company: Company, engine: sa.Engine) -> None:
    deliver(company.settings.home, MAY, "events")
    company = again(company, AUG)
    assert company.asked(INGEST) == [MAY]
    assert ingest(company) == []
    assert company.asked(FEATURES) == [JUN, JUL, AUG]
    company.answer(FEATURES)
    assert "no period is broken or overdue" in watch(company)
    assert open_alerts(engine) == []
    assert all(one.closed_s is not None for one in newest_alerts(engine, limit=9))
    assert "none is blocked" in probed(company)


def probed(company: Company) -> str:
    """What `churn doctor` says of the data."""
    settings = company.settings
    present = {table: stored(company, table) for table in TABLES}
    today = settings.clock.now().date()
    return quality_in_words(company.lake, settings.calendar, present, today=today, rules=settings.quality)


def stored(company: Company, table: str) -> set[str]:
    return set(data_versions(company.instance, table))


def checks(company: Company, table: str) -> list[dg.AssetCheckEvaluation]:
    records = company.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(table), "quality"), limit=20
    )
    return [record.event.dagster_event.asset_check_evaluation_data for record in records if record.event is not None]
