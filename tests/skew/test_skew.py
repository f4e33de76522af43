"""Skew: a real service answers, its log is replayed through the batch path, and each planted fault is named."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.served_log import served_rows
from churn_assets.periods import epoch_s
from churn_assets.skew.replay import difference
from churn_assets.skew.report import SkewReport, sentence, verdict_of
from churn_store.cli.main import churn
from churn_store.database.schema import prediction_log
from churn_store.errors import InputError
from churn_store.model.signature import Signature
from churn_store.storage.online_store import write_snapshot
from tests.api.conftest import Installation, Service
from tests.release_factory import NOW_S, Candidate, rows_of, small_columns

COLUMNS = small_columns()
NAMES = [column.name for column in COLUMNS]
BEFORE, NOW = "2026-01-01", "2026-02-01"
CUSTOMERS = 30


def features(day: str) -> pl.DataFrame:
    """The lake's features of a snapshot."""
    rows = pl.DataFrame(rows_of(COLUMNS, CUSTOMERS, int(day[5:7])), infer_schema_length=None)
    return rows.select(
        pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"),
        pl.lit(epoch_s(date.fromisoformat(day))).alias("snapshot_s"),
        *(pl.col(c.name).cast(pl.Float64 if c.kind == "number" else pl.String) for c in COLUMNS),
    ).sort("customer_id")


@pytest.fixture
def company(tmp_path: Path, candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A company with two snapshots, whose newer one is served."""
    with Installation.make(tmp_path, poll_s=0.02, ship_s=0.05) as made:
        monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
        made.make_key("act", "act")
        lake(made).replace("customer_features", {day: features(day) for day in (BEFORE, NOW)}, run_id="test")
        made.release(candidate)
        put_online(made, features(NOW))
        yield made


def lake(company: Installation) -> Lake:
    return Lake(str(company.home / "lake"))


def put_online(company: Installation, rows: pl.DataFrame, day: str = NOW) -> None:
    values = ((customer_id, one) for customer_id, *one in rows.select("customer_id", *NAMES).iter_rows())
    snapshot_s = epoch_s(date.fromisoformat(day))
    write_snapshot(company.config.online_url, name=day, snapshot_s=snapshot_s, columns=NAMES, rows=values, now_s=NOW_S)


def put_in_lake(company: Installation, rows: pl.DataFrame, day: str = NOW) -> None:
    lake(company).replace("customer_features", {day: rows}, run_id="test")


def ask(service: Service) -> None:
    """Ten customers: some one by one, some in a batch, one by attributes; until all are in the log."""
    for number in range(4):
        assert service.get(f"/predict/c{number}").status_code == 200
    ids = [f"c{number}" for number in range(4, 9)]
    assert service.post("/predict/batch", {"customer_ids": ids}).status_code == 200
    sent = dict(features(NOW).select(NAMES).row(3, named=True))
    assert service.post("/predict", {"customer_id": "c1", "attributes": sent}).status_code == 200
    service.until(lambda: len(service.installation.logged()) >= 10)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(churn, ["skew", *arguments])


def replayed() -> SkewReport:
    told = msgspec.json.decode(run("--json").stdout)
    assert sentence(msgspec.convert(told, SkewReport)) == told["verdict"]
    return msgspec.convert(told, SkewReport)


def kinds(report: SkewReport) -> dict[str, dict[str, int]]:
    return {one.feature: one.kinds for one in report.features}


def test_what_was_served_is_what_the_batch_path_gives(company: Installation) -> None:
    with company.serve() as service:
        ask(service)
    report = replayed()
    assert report.is_equal
    assert (report.rows, report.looked_up, report.sent, report.compared) == (10, 9, 1, 9)
    assert (report.on_logged.rows, report.on_batch.rows, report.online.equal) == (10, 9, True)
    told = run()
    assert told.exit_code == 0
    assert told.stdout.startswith("no skew: of 10 logged predictions 9 looked up and 10 scored again, 0 mismatches")
    assert verdict_of(report, now_s=NOW_S).state == "fine"


def other_value(column: pl.Expr) -> pl.Expr:
    return column + 7


def rounded(column: pl.Expr) -> pl.Expr:
    return column + 1e-9 * (column + 1)


def none_of(column: pl.Expr) -> pl.Expr:
    return pl.when(column.is_null()).then(column)


@pytest.mark.parametrize("where", ["online", "lake"])
@pytest.mark.parametrize(
    ("change", "online_kind", "lake_kind"),
    [
        (other_value, "value differs", "value differs"),
        (rounded, "differs by rounding", "differs by rounding"),
        (none_of, "missing when served", "missing in the lake"),
    ],
)
def test_a_feature_that_differs_is_named_with_its_kind(
    company: Installation, where: str, change: Callable[[pl.Expr], pl.Expr], online_kind: str, lake_kind: str
) -> None:
    changed = "days_since_ticket"
    rows = features(NOW).with_columns(pl.col(changed).fill_null(3.0))
    put_in_lake(company, rows)
    put_online(company, rows)
    planted = rows.with_columns(change(pl.col(changed)).alias(changed))
    if where == "online":
        put_online(company, planted)
    with company.serve() as service:
        ask(service)
    if where == "lake":
        put_in_lake(company, planted)
    report = replayed()
    assert kinds(report) == {changed: {online_kind if where == "online" else lake_kind: 9}}
    assert report.mismatched == 9
    assert report.on_logged.mismatches == 0
    assert (report.on_batch.mismatches > 0) is (change is not rounded)
    assert report.online.equal is False
    assert run().exit_code == 3
    assert verdict_of(report, now_s=NOW_S).state == "attention"


def test_features_of_another_snapshot_are_told_by_its_name(company: Installation) -> None:
    put_online(company, features(BEFORE))
    with company.serve() as service:
        ask(service)
    report = replayed()
    assert {kind for one in report.features for kind in one.kinds} == {f"value of snapshot {BEFORE}"}
    assert report.mismatched == 9
    assert f"value of snapshot {BEFORE}" in run().stdout


def test_a_service_that_takes_columns_in_another_order_is_told_from_other_features(
    company: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = Signature.tensors

    def turned(self: Signature, rows: list[dict[str, Any]]) -> Any:
        numbers, categories = ordinary(self, rows)
        return np.ascontiguousarray(np.roll(numbers, 1, axis=1)), categories

    with company.serve() as service:
        service.until(lambda: service.get("/predict/c0").status_code == 200)
        with monkeypatch.context() as patched:
            patched.setattr(Signature, "tensors", turned)
            ask(service)
    report = replayed()
    assert kinds(report) == {}
    assert report.on_logged.mismatches == report.on_batch.mismatches + 1
    assert report.on_logged.largest > 0.01
    assert "than the release gives for the same features: another model, order of columns or runtime" in sentence(report)


def test_who_is_not_in_the_snapshot_and_a_snapshot_that_is_gone_are_counted_apart(company: Installation) -> None:
    with company.serve() as service:
        ask(service)
    put_in_lake(company, features(NOW).filter(pl.col("customer_id") != "c2"))
    assert replayed().apart == {"customer not at risk at that snapshot in the lake": 1}
    shutil.rmtree(company.home / "lake")
    put_in_lake(company, features(BEFORE), BEFORE)
    report = replayed()
    assert report.apart == {"snapshot not in the lake": 9}
    assert report.online.why == f"the lake has no snapshot {NOW}"


def test_a_release_whose_files_are_gone_is_counted_and_the_others_are_replayed(
    company: Installation, other_candidate: Candidate
) -> None:
    first = company.bundle().digest
    with company.serve() as service:
        service.get("/predict/c0")
        company.release(other_candidate)
        service.until(lambda: service.get("/model/version").json()["release"] != first)
        ask(service)
    model = company.files.below("")
    manifest = next(Path(model.url).rglob(first))
    manifest.unlink()
    report = replayed()
    assert report.apart == {"release's files gone or changed": 1}
    assert (report.rows, report.on_logged.rows, report.mismatched) == (11, 10, 1)


def test_answers_to_a_survey_that_took_the_place_of_features_are_no_skew(company: Installation) -> None:
    with company.serve() as service:
        answers = [{"question": "sessions_30d", "answer": 999}]
        sent = {"customer_id": "c1", "survey": "s", "idempotency_key": "k", "answers": answers}
        assert service.post("/survey/submit", sent, key="act").json()["inputs"] == ["sessions_30d"]
        service.until(lambda: len(company.logged()) == 1)
    report = replayed()
    assert report.is_equal
    assert (report.survey, report.compared, report.on_logged.rows) == (1, 0, 1)


def test_a_damaged_row_of_the_log_is_counted_and_hides_no_other(company: Installation) -> None:
    with company.serve() as service:
        ask(service)
    damaged = company.logged()[0]["request_id"]
    with company.engine.begin() as connection:
        connection.execute(
            sa.update(prediction_log).where(prediction_log.c.request_id == damaged).values(features=["torn"])
        )
    report = replayed()
    assert (report.damaged, report.rows, report.is_equal) == (1, 9, False)


def test_no_customer_is_named_unless_that_is_asked_for(company: Installation) -> None:
    put_online(company, features(BEFORE))
    with company.serve() as service:
        ask(service)
    for arguments in ((), ("--json",)):
        assert '"c0"' not in run(*arguments).stdout
        assert "customer_id" not in run(*arguments).stdout
    assert "customer_id c" in run("--show-ids").stdout
    assert run("--limit", "3", "--json").stdout.count('"rows":3') > 0


def test_where_nothing_was_logged_there_is_no_verdict(company: Installation) -> None:
    with company.serve() as service:
        ask(service)
    later = datetime.fromtimestamp(NOW_S + 60, UTC).isoformat()
    result = run("--since", later)
    assert isinstance(result.exception, InputError)
    assert "give an earlier --since" in str(result.exception)
    assert isinstance(run("--since", "soon").exception, InputError)
    assert run("--limit", "0").exit_code == 2


@pytest.mark.parametrize(
    ("served", "stored", "kind"),
    [
        (1, 1.0, None),
        (float("nan"), None, None),
        ("a", "a", None),
        (0.1 + 0.2, 0.3, "differs by rounding"),
        (0.0, 1e-12, "value differs"),
        ("1", 1.0, "value differs"),
        (None, 0.0, "missing when served"),
        ("", None, "missing in the lake"),
    ],
)
def test_two_values_are_equal_or_differ_in_a_named_way(served: Any, stored: Any, kind: str | None) -> None:
    assert difference(served, stored)[0] == kind


def test_the_log_is_read_alike_from_both_databases(engine: sa.Engine) -> None:
    row = {
        "item": 0, "customer_id": "c1", "release": "a" * 64, "epoch": 1, "role": "champion", "probability": 0.25,
        "churn": False, "threshold": 0.5, "features": {"x": 0.1, "plan": None}, "latency_us": 9,
    }  # fmt: skip
    rows = [
        {**row, "request_id": "r1", "answered_s": 10.0, "snapshot_s": NOW_S},
        {**row, "request_id": "r2", "answered_s": 20.0, "snapshot_s": None},
        {**row, "request_id": "r3", "answered_s": 30.0, "snapshot_s": NOW_S, "features": [1]},
    ]
    with engine.begin() as connection:
        connection.execute(prediction_log.insert(), rows)
    found, damaged = served_rows(engine, since_s=10.0, limit=3)
    assert [(one.request_id, one.origin, one.features) for one in found] == [
        ("r2", "sent", row["features"]), ("r1", "looked up", row["features"]),
    ]  # fmt: skip
    assert damaged == 1
    assert [one.request_id for one in served_rows(engine, since_s=15.0, limit=3)[0]] == ["r2"]
    assert served_rows(engine, since_s=0.0, limit=1) == ([], 1)
