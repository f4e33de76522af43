"""Rows that arrive after a label's maturity restate it: a new version of the partition, asked for once."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.due import arrived_into, labels_to_restate
from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FEATURES, INGEST, LABELS, PUBLISH
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import restore
from churn_assets.orchestration.instance import report_restored
from churn_assets.periods import Calendar, epoch_s
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label as Definition
from churn_store.mapping.file_settings import FilesSettings
from churn_store.outcomes.published_labels import Label, open_labels
from churn_store.storage.digest_store import DigestStore
from tests.automation.asking import asked_by
from tests.automation.company import CONFIGURATION, START, file_of, write_company

pytestmark = pytest.mark.integration

JAN, FEB, MAR, APR, MAY, JUN = (f"2024-0{month}-01" for month in range(1, 7))


def day(text: str) -> int:
    return epoch_s(dt.date.fromisoformat(text))


@pytest.mark.parametrize(
    ("span", "period", "late"),
    [
        (("2024-03-31", "2024-04-30"), MAY, []),
        (("2024-03-30", "2024-04-30"), MAY, [MAR]),
        (("2024-03-30", "2024-03-30"), APR, [MAR]),
        (("2024-02-20", "2024-02-29"), MAY, []),
        (("2024-02-20", "2024-03-01"), MAY, [MAR]),
        (("2024-03-05", "2024-03-06"), MAR, []),
    ],
    ids=[
        "after the window",
        "its last day",
        "in the period of maturity",
        "before the window",
        "its first day",
        "before maturity",
    ],
)
def test_rows_of_a_window_that_arrive_after_maturity_are_found(span: tuple[str, str], period: str, late: list[str]) -> None:
    calendar, label = Calendar("monthly", dt.date(2024, 1, 1)), Definition(horizon_days=30, grace_days=3)
    happened = {period: (day(span[0]), day(span[1]))}
    found = arrived_into(calendar, label, labels=[MAR], happened=happened)
    assert list(found) == late


def test_a_label_is_restated_for_what_came_after_its_last_arrivals_and_only_when_no_period_is_missing() -> None:
    label = Definition(horizon_days=30, grace_days=3)
    late = {FEB: [APR, MAY], MAR: [MAY]}
    assert labels_to_restate(label, late, known_until={FEB: APR, MAR: APR}, until=APR) == []
    assert labels_to_restate(label, late, known_until={FEB: APR, MAR: APR}, until=MAY) == [FEB]
    assert labels_to_restate(label, late, known_until={FEB: APR, MAR: APR}, until=JUN) == [FEB, MAR]
    assert labels_to_restate(label, late, known_until={FEB: JUN, MAR: JUN}, until=JUN) == []
    assert labels_to_restate(label, late, known_until={}, until=JUN) == [FEB, MAR], (
        "restored or older labels count up to maturity"
    )


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def asked(settings: Settings, instance: dg.DagsterInstance) -> list[dict[str, str]]:
    """What the sensor of the labels asks for now."""
    requests, _ = asked_by(build_defs(settings), instance, LABELS)
    return [{**request.tags, "key": request.partition_key or ""} for request in requests]


def published(settings: Settings, key: str, customer: str) -> Label | None:
    """What the published file of a snapshot says of a customer."""
    labels = open_labels(DigestStore(settings.releases_url), key)
    assert labels is not None
    return labels.of([customer]).get(customer)


def run(settings: Settings, instance: dg.DagsterInstance, job: str, first: str, last: str) -> None:
    tags = {RANGE_START: first, RANGE_END: last} if first != last else {}
    result = (
        build_defs(settings)
        .resolve_job_def(job)
        .execute_in_process(instance=instance, tags=tags, partition_key=first if first == last else None, run_config=QUIET)
    )
    assert result.success


def test_a_cancellation_that_is_heard_of_months_later_restates_its_label_once(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=300, until=dt.date(2024, 7, 1))
    configuration: dict[str, Any] = CONFIGURATION["source"]
    settings = Settings(
        home=tmp_path,
        source=FilesSettings.model_validate(configuration),
        features=Features(first_snapshot=dt.date(2024, 3, 1)),
    )
    settings.clock.fix(dt.datetime(2024, 6, 1, tzinfo=dt.UTC))
    run(settings, instance, INGEST, START.isoformat(), MAY)
    run(settings, instance, FEATURES, MAR, MAY)
    run(settings, instance, LABELS, MAR, APR)
    assert asked(settings, instance) == []
    lake = Lake(settings.lake_url)
    before, version = lake.read("churn_labels", MAR), lake.version("churn_labels")
    [stayed] = before.filter(~pl.col("churned")).head(1)["customer_id"].to_list()
    assert published(settings, MAR, stayed) == (False, None)

    file = file_of(tmp_path, "events", JUN)
    rows = pl.read_csv(file, infer_schema=False)
    heard = {"event_id": "late", "customer_id": stayed, "event_type": "cancelled"}
    times = {"occurred": "2024-03-20T12:00:00", "known": "2024-06-20T12:00:00"}
    pl.concat([rows, pl.DataFrame({**heard, **times}).select(rows.columns)]).write_csv(file)
    settings.clock.fix(dt.datetime(2024, 7, 1, tzinfo=dt.UTC))
    run(settings, instance, INGEST, JUN, JUN)

    tags = [(one["key"], one.get(RANGE_START), one.get(RANGE_END)) for one in asked(settings, instance)]
    assert tags == [("", MAR, MAY)], "March and April may have changed, and May is due"
    run(settings, instance, LABELS, MAR, MAY)
    after = lake.read("churn_labels", MAR)
    changed = before.join(after, on="customer_id").filter(pl.col("churned") != pl.col("churned_right"))
    assert changed.select("customer_id", "churned_right").rows() == [(stayed, True)]
    assert lake.read("churn_labels", MAR, version=version).equals(before), "the former version can still be read"
    assert stayed not in lake.read("churn_labels", APR)["customer_id"].to_list(), "had left before, which was known later"
    assert asked(settings, instance) == []
    assert published(settings, MAR, stayed) == (True, day("2024-03-20") + 12 * 3600)
    assert published(settings, APR, stayed) is None
    assert asked_by(build_defs(settings), instance, PUBLISH)[0] == []

    done = restore(lake, "churn_labels", version)
    report_restored(
        instance,
        lake,
        "churn_labels",
        done.periods,
        of=version,
        version=done.version,
    )
    assert [one.get(RANGE_START, one["key"]) for one in asked(settings, instance)] == [MAR], "the same arrivals restate it"
    [request], _ = asked_by(build_defs(settings), instance, PUBLISH)
    ends = (request.tags[RANGE_START], request.tags[RANGE_END])
    assert ends == (MAR, APR), "the labels that were brought back are not those that are published"
    run(settings, instance, PUBLISH, MAR, APR)
    assert published(settings, MAR, stayed) == (False, None)
