"""What is measured at a mature snapshot: only what was really served, by outcomes that count, and nothing where it can't be judged."""

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from churn_assets.evaluation.measures import auc
from churn_assets.performance.excess import excess_log_loss
from churn_assets.performance.history import read_history
from churn_store.clock import DAY_S
from churn_store.outcomes.published_labels import FOLDER
from churn_store.storage.digest_store import DigestStore
from tests.performance.made import LATER_S, Company, mean_log_loss, months, whole
from tests.release_factory import Candidate

KEY, NEXT = months(2)


@pytest.fixture
def shared(tmp_path: Path, engine: sa.Engine, files: DigestStore, candidate: Candidate) -> Company:
    """A company, once with SQLite and once with PostgreSQL."""
    return Company.make(tmp_path, engine, files, candidate)


def test_scores_of_everyone_at_risk_meet_the_labels(company: Company) -> None:
    scores, churned = company.month(KEY)
    row = whole(company.judged(KEY))
    assert (row.lacking, row.rows, row.effective_rows) == ("", 4_000, 4_000)
    assert row.measures["auc"].value == pytest.approx(auc(churned, scores))
    assert row.measures["log_loss"].value == pytest.approx(mean_log_loss(scores, churned))
    assert row.measures["auc"].low < row.measures["auc"].value < row.measures["auc"].high
    assert (row.promised, row.seen) == (pytest.approx(scores.mean()), pytest.approx(churned.mean()))
    assert row.details.gate["auc"].value == company.candidate.manifest.metrics["auc"]
    assert sum(band.rows for band in row.details.bands) == sum(band.rows for band in row.details.called) == 4_000


def test_segments_are_rows_of_their_own(company: Company) -> None:
    company.month(KEY)
    segments = {row.series.segment: row for row in company.judged(KEY) if row.series.segment}
    assert set(segments) == {"plan=basic", "plan=plus", "plan=pro"}
    assert sum(row.rows for row in segments.values()) == 4_000
    assert all(row.point is not None for row in segments.values())


def test_the_same_snapshot_gives_the_same_rows_and_comes_back_from_the_lake(company: Company) -> None:
    company.month(KEY)
    rows = company.judged(KEY)
    assert rows == company.judged(KEY)
    company.write(rows)
    assert sorted(read_history(company.lake), key=str) == sorted(rows, key=str)


def test_where_nothing_was_served_it_says_so(company: Company) -> None:
    company.month(KEY, is_scored=False)
    [row] = company.judged(KEY)
    assert (row.series.release, row.rows, row.point) == ("", 0, None)
    assert row.lacking.startswith("nothing was served for this snapshot")


def test_predictions_of_the_service_count_once_a_customer_and_by_arm(shared: Company) -> None:
    company = shared
    company.month(KEY, is_scored=False)
    company.asked(KEY, range(0, 400, 2))
    company.asked(KEY, range(1, 400, 2), experiment="calls", arm="treatment")
    company.asked(KEY, range(400), day=9, probability=0.9)  # once more: the first counts
    rows = company.judged(KEY)
    everyone = whole(rows)
    [arm] = [row for row in rows if row.series.arm]
    assert (everyone.rows, arm.rows, arm.series.arm) == (400, 200, "calls/treatment")
    assert everyone.details.counts["by_the_service"] == 400
    assert "customers at risk have a prediction that counts" in " ".join(everyone.details.notes)


def test_who_was_asked_about_after_the_window_or_had_left_before_was_not_predicted(company: Company) -> None:
    _, churned = company.month(KEY, is_scored=False, left_on_day=5)
    company.asked(KEY, range(100), day=31)
    company.asked(KEY, range(100, 600), day=10)
    row = whole(company.judged(KEY))
    left = int(churned[100:600].sum())
    assert left > 0
    assert row.rows == 500 - left
    assert (row.details.counts["asked_too_late"], row.details.counts["gone_before"]) == (100, left)
    assert "left and" in row.lacking  # only who stayed can have been predicted


def test_a_release_that_is_younger_than_the_window_or_was_trained_on_it_proves_nothing(
    tmp_path: Path, database: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    hindsight = Company.make(tmp_path, database, files, candidate, trained_on=(KEY,), created_s=LATER_S - DAY_S)
    hindsight.month(KEY)
    [row] = hindsight.judged(KEY)
    assert row.lacking.startswith("nothing was served")
    assert row.details.counts["replayed"] == 4_000
    assert "that proves nothing and is left out" in row.details.notes[0]


def test_a_posted_outcome_wins_and_its_newest_version_counts(shared: Company) -> None:
    company = shared
    _, churned = company.month(KEY)
    stayed = [f"c{number}" for number in np.flatnonzero(~churned)[:3]]
    for customer_id in stayed:
        company.posts(KEY, customer_id, churned=True)
    company.posts(KEY, stayed[0], churned=False, version=2)
    row = whole(company.judged(KEY))
    assert row.seen == pytest.approx((churned.sum() + 2) / 4_000)
    assert row.details.counts["posted_unlike_label"] == 2
    assert row.details.counts["posted_versions_disagree"] == 1
    assert any("the newest version counts" in note for note in row.details.notes)


def test_outcomes_of_unknown_customers_and_from_the_future_are_counted_and_not_used(company: Company) -> None:
    _, churned = company.month(KEY)
    before = whole(company.judged(KEY))
    company.posts(KEY, "nobody", churned=True)
    stayed = int(np.flatnonzero(~churned)[0])
    company.posts(KEY, f"c{stayed}", churned=True, occurred_s=LATER_S + DAY_S)
    after = whole(company.judged(KEY))
    assert after.measures == before.measures
    assert (after.details.counts["posted_of_unknown_customers"], after.details.counts["posted_from_the_future"]) == (1, 1)


def test_an_open_window_is_unknown(company: Company) -> None:
    company.month(KEY)
    opens_s = company.labels[KEY].about.snapshot_s
    [row] = company.judged(KEY, now_s=opens_s + 31 * DAY_S)
    assert row.lacking.startswith("its window is still open")


def test_labels_that_are_not_published_or_torn_are_unknown(company: Company, tmp_path: Path) -> None:
    [row] = company.judged(NEXT)
    assert row.lacking == f"no labels of {NEXT} are published; materialize published_labels of this period"
    company.month(KEY)
    [file] = [file for file in (tmp_path / "releases" / FOLDER).rglob("*") if company.labels[KEY].digest in file.name]
    file.write_bytes(b"torn")
    [row] = company.judged(KEY)
    assert row.lacking.startswith(f"the labels of {KEY} can't be read")


def test_a_release_that_is_missing_is_unknown(company: Company) -> None:
    company.month(KEY, release="f" * 64)
    row = whole(company.judged(KEY))
    assert row.lacking.startswith("release ffffffffffff can't be read")
    assert (row.point, row.measures) == (None, {})


def test_a_release_of_another_horizon_is_unknown(
    tmp_path: Path, database: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    other = Company.make(tmp_path, database, files, candidate, horizon_days=60)
    other.month(KEY)
    assert whole(other.judged(KEY)).lacking == "the release predicts 60 days ahead and the labels look 30 days ahead"


def test_too_few_customers_are_unknown(company: Company) -> None:
    company.month(KEY, count=150)
    assert "expected at least 200" in whole(company.judged(KEY)).lacking


def test_what_can_t_be_measured_is_unknown_and_hides_nothing_else(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.month(KEY)

    def fails_for_all(churned: np.ndarray, *rest: object, **more: object) -> object:
        if len(churned) == 4_000:
            raise ZeroDivisionError("drawn")
        return excess_log_loss(churned, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("churn_assets.performance.judging.excess_log_loss", fails_for_all)
    rows = company.judged(KEY)
    assert whole(rows).lacking == "measuring failed (ZeroDivisionError: drawn)"
    assert all(row.point is not None for row in rows if row.series.segment)
