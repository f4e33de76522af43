"""Rows that break their contract are set aside with the reason; a period with too many of them, or with none, is refused."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.jobs import INGEST
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.connectors.files.source import FilesSource
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.partitions import partitions_of
from churn_assets.orchestration.run_history import data_versions, materialized
from churn_assets.raw.assets import raw_assets
from churn_assets.settings.company import Settings
from churn_assets.settings.raw import Raw
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from tests.automation.asking import asked_by
from tests.automation.company import CONFIGURATION, file_of, write_company

pytestmark = pytest.mark.integration

JAN, FEB = "2024-01-01", "2024-02-01"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=1_000, until=dt.date(2024, 3, 1))
    return Settings(home=tmp_path, source=FilesSettings.model_validate(CONFIGURATION["source"]))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


def ingest(settings: Settings, instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
    job = build_defs(settings).resolve_job_def(INGEST)
    return job.execute_in_process(instance=instance, partition_key=month, run_config=QUIET, raise_on_error=False)


def said(result: dg.ExecuteInProcessResult) -> str:
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


def edit(settings: Settings, month: str, rows: int, column: str, value: object) -> pl.DataFrame:
    """Change a column of the first rows of a month's payments; the rows before."""
    file = file_of(settings.home, "payments", month)
    before = pl.read_csv(file, infer_schema=False)
    first = pl.int_range(pl.len()) < rows
    before.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column)).write_csv(file)
    return before


@pytest.mark.parametrize(
    ("column", "value", "rule", "shown"),
    [
        ("amount", "1e10", "0 to 100,000,000,000 cents", "1000000000000"),
        ("status", "lost", "one of settled, failed, refunded", "lost"),
        ("occurred", "1850-01-01T00:00:00", "1900-01-01 or later, in seconds since 1970", "-3786825600"),
        ("customer_id", None, "no missing values", None),
    ],
)
def test_a_bad_row_is_set_aside_with_rule_and_value_and_the_rest_goes_on(
    shop: Settings, instance: dg.DagsterInstance, column: str, value: str | None, rule: str, shown: str | None
) -> None:
    before = edit(shop, JAN, 1, column, value)
    result = ingest(shop, instance, JAN)
    assert result.success, said(result)
    lake = Lake(shop.lake_url)
    [row] = lake.read("payments_quarantine", JAN).rows(named=True)
    assert (row["rule"], row["column"].removesuffix("_s").removesuffix("_cents"), row["value"]) == (rule, column, shown)
    assert json.loads(row["row"])["payment_id"] == before["payment_id"][0]
    kept = lake.read("payments", JAN)
    assert kept.height == before.height - 1
    assert before["payment_id"][0] not in kept["payment_id"].to_list()
    [record] = instance.fetch_materializations(dg.AssetKey("payments_quarantine"), limit=1).records
    assert record.asset_materialization is not None
    assert rule in str(record.asset_materialization.metadata["rules"].value)
    [good] = instance.fetch_materializations(dg.AssetKey("payments"), limit=1).records
    assert good.asset_materialization is not None
    assert good.asset_materialization.metadata["set_aside"].value == 1


def test_a_person_is_never_named_in_what_the_graph_says_of_a_quarantine(
    shop: Settings, instance: dg.DagsterInstance
) -> None:
    edit(shop, JAN, 1, "customer_id", "jane@example.com" * 20)
    assert ingest(shop, instance, JAN).success
    assert "jane" in Lake(shop.lake_url).read("payments_quarantine", JAN)["value"][0]
    for table in ("payments", "payments_quarantine"):
        for record in instance.fetch_materializations(dg.AssetKey(table), limit=10).records:
            assert "jane" not in str(record.asset_materialization)
    for event in instance.all_logs(instance.get_runs()[0].run_id):
        assert "jane" not in str(event)


def test_above_the_limit_the_period_is_refused_and_what_was_set_aside_can_be_looked_at(
    shop: Settings, instance: dg.DagsterInstance
) -> None:
    assert ingest(shop, instance, JAN).success
    rows = edit(shop, FEB, 20, "amount", "1e10").height
    result = ingest(shop, instance, FEB)
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [(check.asset_key.to_user_string(), check.check_name, check.partition) for check in failed] == [
        ("payments", "quarantine_share", FEB)
    ]
    assert said(result) == (
        f"payments {FEB} was not written: quarantine_share: 20 of {rows} rows were set aside, more than raw.quarantine_limit "
        "2.0% allows: amount_cents: 0 to 100,000,000,000 cents broken by 20 rows; found '1000000000000'"
    )
    assert materialized(instance, "payments") == {JAN}
    assert materialized(instance, "events") == {JAN, FEB}
    lake = Lake(shop.lake_url)
    assert lake.periods("payments") == [JAN]
    assert lake.read("payments_quarantine", FEB).height == 20
    patient = shop.model_copy(update={"raw": Raw(quarantine_limit=0.5)})
    assert ingest(patient, instance, FEB).success
    assert lake.read("payments", FEB).height == rows - 20


def test_a_period_that_turns_bad_leaves_what_was_written_of_it(shop: Settings, instance: dg.DagsterInstance) -> None:
    assert ingest(shop, instance, JAN).success
    rows, versions = Lake(shop.lake_url).read("payments", JAN), data_versions(instance, "payments")
    edit(shop, JAN, 20, "amount", "1e10")
    assert not ingest(shop, instance, JAN).success
    assert data_versions(instance, "payments") == versions
    assert Lake(shop.lake_url).read("payments", JAN).equals(rows)


def test_a_period_without_any_event_is_a_broken_feed_unless_quiet_ones_are_accepted(
    shop: Settings, instance: dg.DagsterInstance
) -> None:
    assert ingest(shop, instance, JAN).success
    file = file_of(shop.home, "events", FEB)
    pl.read_csv(file, infer_schema=False).clear().write_csv(file)
    # A row or two of January that became known late would be in February's file of January: none is left here.
    january = file_of(shop.home, "events", JAN)
    on_time = pl.col("known").str.starts_with("2024-01")
    pl.read_csv(january, infer_schema=False).filter(on_time).write_csv(january)
    result = ingest(shop, instance, FEB)
    assert said(result) == (
        f"events {FEB} was not written: not_empty: no events arrived in the period; expected some. Mend the feed, or set "
        "raw.empty_periods to accept"
    )
    assert materialized(instance, "events") == {JAN}
    patient = shop.model_copy(update={"raw": Raw(empty_periods="accept")})
    assert ingest(patient, instance, FEB).success
    assert materialized(instance, "events") == {JAN, FEB}
    assert Lake(shop.lake_url).periods("events") == [JAN]


def test_a_period_whose_rows_were_all_set_aside_is_refused_whatever_their_times(
    shop: Settings, instance: dg.DagsterInstance
) -> None:
    """Rows without a readable time count in no period's share."""
    source = FilesSource(shop.source, shop.home, Rules(limit=0.99))  # type: ignore[arg-type]
    for month in (JAN, FEB):
        file = file_of(shop.home, "payments", month)
        rows = pl.read_csv(file, infer_schema=False)
        keep = pl.int_range(pl.len()) < (rows.height if month == JAN else 0)
        rows.with_columns(
            pl.when(keep).then("known").otherwise(pl.lit("soon")).alias("known"),
        ).write_csv(file)
    defs = dg.Definitions(
        assets=raw_assets(
            source,
            partitions_of(shop.timeline),
            described=shop.source,
            timeline=shop.timeline,
            raw=shop.raw,
            quality=shop.quality,
        ),
        resources={"lake": Lake(shop.lake_url), "clock": shop.clock},
    )
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, partition_key=FEB, run_config=QUIET, raise_on_error=False)
    assert "rows of payments were set aside; expected some that are right" in said(result)
    assert materialized(instance, "payments") == set()
    assert Lake(shop.lake_url).read("payments_quarantine", FEB).height > 0


def test_raising_the_limit_as_the_message_says_asks_for_the_refused_period_again(shop: Settings, tmp_path: Path) -> None:
    def asked(settings: Settings) -> list[str | None]:
        return [request.partition_key for request in requests(settings)]

    def requests(settings: Settings) -> list[dg.RunRequest]:
        return asked_by(build_defs(settings), instance, INGEST)[0]

    shop.clock.fix(dt.datetime(2024, 3, 1, tzinfo=dt.UTC))
    edit(shop, FEB, 20, "amount", "1e10")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert ingest(shop, instance, JAN).success
        [request] = requests(shop)
        assert request.partition_key == FEB
        job = build_defs(shop).resolve_job_def(INGEST)
        result = job.execute_in_process(
            instance=instance, partition_key=FEB, run_config=QUIET, raise_on_error=False, tags=dict(request.tags)
        )
        assert not result.success
        assert asked(shop) == []
        assert asked(shop.model_copy(update={"raw": Raw(quarantine_limit=0.5)})) == [FEB]


def test_a_row_that_comes_again_in_a_later_period_adds_nothing_and_is_set_aside(
    shop: Settings, instance: dg.DagsterInstance
) -> None:
    assert ingest(shop, instance, JAN).success
    january = pl.read_csv(file_of(shop.home, "payments", JAN), infer_schema=False)
    file = file_of(shop.home, "payments", FEB)
    rows = pl.read_csv(file, infer_schema=False)
    again = january.head(1).with_columns(known=pl.lit("2024-02-10T00:00:00"))
    pl.concat([rows, again.select(rows.columns)]).write_csv(file)
    assert ingest(shop, instance, FEB).success
    lake = Lake(shop.lake_url)
    [row] = lake.read("payments_quarantine", FEB).rows(named=True)
    assert row["rule"] == "one row a payment_id, and another period has it"
    assert row["value"] == january["payment_id"][0]
    ids = pl.concat([lake.read("payments", period) for period in (JAN, FEB)])["payment_id"]
    assert ids.n_unique() == len(ids) == january.height + rows.height


def test_completeness_lateness_and_freshness_are_told_of_each_period(shop: Settings, instance: dg.DagsterInstance) -> None:
    edit(shop, JAN, 1, "amount", "1e10")
    assert ingest(shop, instance, JAN).success
    [record] = instance.fetch_materializations(dg.AssetKey("payments"), limit=1).records
    assert record.asset_materialization is not None
    said = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    rows = pl.read_csv(file_of(shop.home, "payments", JAN))
    assert said["completeness"] == pytest.approx(1 - 1 / rows.height)
    assert said["set_aside_share"] == pytest.approx(1 / rows.height)
    assert 0 <= said["late_share"] < 0.2
    assert 0 < said["delay_p99_hours"] <= 24
    newest = rows["known"].str.to_datetime().max()
    assert isinstance(newest, dt.datetime)
    assert said["newest_hours_before_end"] == pytest.approx((dt.datetime(2024, 2, 1) - newest).total_seconds() / 3600)
