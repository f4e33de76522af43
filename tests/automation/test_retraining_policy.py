"""When a retraining is asked for, by tables of cases."""

from datetime import date
from typing import Any

import pytest

from churn_assets.automation.retraining_policy import DriftReport, Staleness, decide
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_assets.settings.retraining import Retraining
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings
from churn_store.mapping.file_settings import FilesSettings

MAR, APR, MAY = "2024-03-01", "2024-04-01", "2024-05-01"
HISTORY = Settings(
    source=SyntheticSettings(),
    training=Training(judging_snapshots=1, selecting_snapshots=1),
    retraining=Retraining(cooldown_days=20),
    label=Label(horizon_days=30, grace_days=3),
)
TABLE = Settings(
    source=FilesSettings.model_validate(
        {
            "kind": "files",
            "shape": "table",
            "customers": {"path": "x.csv", "columns": {"customer_id": "id"}, "label": {"column": "left"}},
        }
    )
)
ALERT = DriftReport(event=7, alert=True, drifted="sessions_30d", release="a" * 64)
QUIET = DriftReport(event=7, alert=False, drifted="no feature", release="a" * 64)


def decision(settings: Settings = HISTORY, **known: Any) -> tuple[bool, str, tuple[str, ...]]:
    asked: dict[str, Any] = {
        "today": date(2024, 7, 1),
        "serving": "a" * 64,
        "labelled": [MAR, APR, MAY],
        "labels_digest": "d",
        "report": None,
        "last_trained": None,
    }
    found = decide(
        timeline=settings.timeline,
        label=settings.label,
        training=settings.training,
        retraining=settings.retraining,
        **{**asked, **known},
    )
    return found.retrain, found.reason, found.cause


@pytest.mark.parametrize(
    ("labelled", "today", "enough"),
    [
        ([], date(2024, 7, 1), False),
        ([MAR, APR], date(2024, 7, 1), False),
        ([MAR, APR, MAY], date(2024, 7, 1), True),
        ([MAR, APR, MAY], date(2024, 6, 2), False),
    ],
    ids=["no labels", "too few snapshots", "one for each role", "the newest is not mature yet"],
)
def test_the_first_model_is_asked_for_once_there_is_enough_to_train_on(
    labelled: list[str], today: date, enough: bool
) -> None:
    retrain, reason, cause = decision(serving=None, labelled=labelled, today=today)
    assert (retrain, cause) == ((True, ("first", "d")) if enough else (False, ()))
    assert reason.startswith("no release yet") if enough else "not enough to train on" in reason


def test_the_first_model_of_a_table_without_time_needs_only_labels() -> None:
    assert decision(TABLE, serving=None, labelled=[]) == (False, "no release yet, and no labels to train on", ())
    assert decision(TABLE, serving=None, labelled=["all"]) == (True, "no release yet", ("first", "d"))


def test_a_first_model_that_was_not_released_is_asked_for_again_only_with_other_labels() -> None:
    assert decision(serving=None, labels_digest="d")[2] != decision(serving=None, labels_digest="e")[2]


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "no drift report yet"),
        (QUIET, "the newest drift report has no alert"),
        (
            DriftReport(event=7, alert=True, drifted="sessions_30d", release="b" * 64),
            "the drift alert is about release bbbbbbbbbbbb, which no longer serves",
        ),
    ],
    ids=["no report", "no alert", "an alert about a former release"],
)
def test_a_serving_release_is_left_alone_without_an_alert_about_itself(report: DriftReport | None, reason: str) -> None:
    assert decision(report=report) == (False, reason, ())


@pytest.mark.parametrize("serving", [None, "a" * 64], ids=["the first model", "after a drift alert"])
def test_where_a_person_lets_retrainings_begin_one_that_is_due_is_only_said(serving: str | None) -> None:
    manual = HISTORY.model_copy(update={"retraining": Retraining(start="manual")})
    retrain, reason, cause = decision(manual, serving=serving, report=ALERT)
    assert (retrain, cause) == (False, ())
    assert reason.startswith("a retraining is due (")
    assert reason.endswith("run the job retrain to let it begin")
    assert decision(manual, report=QUIET)[1] == "the newest drift report has no alert"


def test_an_alert_asks_for_a_retraining_because_of_that_very_report() -> None:
    assert decision(report=ALERT) == (True, "drift: sessions_30d", ("drift", "7"))


@pytest.mark.parametrize(
    ("last_trained", "today", "retrain"),
    [
        (date(2024, 7, 1), date(2024, 7, 1), False),
        (date(2024, 7, 1), date(2024, 7, 20), False),
        (date(2024, 7, 1), date(2024, 7, 21), True),
        (date(2024, 7, 1), date(2030, 1, 1), True),
        (date(1999, 12, 31), date(2000, 1, 10), False),
    ],
    ids=["the same day", "a day too early", "the day on which it ends", "long after", "long ago by the wall clock"],
)
def test_an_alert_waits_for_the_cooldown_by_the_platform_clock(last_trained: date, today: date, retrain: bool) -> None:
    asked, reason, _ = decision(report=ALERT, last_trained=last_trained, today=today)
    assert asked == retrain
    assert retrain or f"the last training was on {last_trained}; cooling down until" in reason


def test_without_a_cooldown_an_alert_is_answered_on_the_day_of_the_last_training() -> None:
    settings = HISTORY.model_copy(update={"retraining": Retraining(cooldown_days=0)})
    assert decision(settings, report=ALERT, last_trained=date(2024, 7, 1))[0]


def stale(read_until: str, limit: int) -> Staleness:
    return Staleness(date.fromisoformat(read_until), limit, "the backtest of 2024-06-01")


MONTHS = [f"2024-{month:02}-01" for month in range(1, 12)]
"""By 2024-12-10 a training reads up to 2024-09-01: October judges, and November is not mature."""


@pytest.mark.parametrize(
    ("read_until", "limit", "cause"),
    [
        ("2024-09-01", 1, None),
        ("2024-08-01", 1, "1"),
        ("2024-07-01", 3, None),
        ("2024-06-01", 3, "1"),
        ("2024-04-01", 3, "1"),
        ("2024-03-01", 3, "2"),
        ("2024-11-01", 1, None),
    ],
    ids=["fresh", "one older", "below the limit", "at the limit", "above it", "by as much more", "newer than a new one"],
)
def test_a_champion_that_is_older_than_the_limit_asks_once_and_again_when_it_has_aged_by_as_much_more(
    read_until: str, limit: int, cause: str | None
) -> None:
    found = decision(labelled=MONTHS, today=date(2024, 12, 3), report=QUIET, staleness=stale(read_until, limit))
    assert found[0] == (cause is not None)
    assert found[2] == (() if cause is None else ("age", "a" * 64, cause))
    assert cause is None or found[1].startswith(f"age: the champion has read up to {read_until}, ")


def test_age_waits_for_the_cooldown_and_drift_goes_first() -> None:
    known: dict[str, Any] = {"labelled": MONTHS, "today": date(2024, 12, 3), "staleness": stale("2024-04-01", 2)}
    asked, reason, _ = decision(report=None, last_trained=date(2024, 11, 20), **known)
    assert not asked
    assert reason.endswith("but the last training was on 2024-11-20; cooling down until 2024-12-10")
    assert decision(report=ALERT, **known)[1:] == ("drift: sessions_30d", ("drift", "7"))
    assert decision(report=None, **known)[2][0] == "age"


def test_age_asks_for_nothing_where_nothing_new_could_be_trained() -> None:
    assert decision(labelled=[MAR], report=QUIET, staleness=stale("2024-01-01", 1))[0] is False
    assert decision(TABLE, labelled=["all"], report=QUIET, staleness=stale("2024-01-01", 1))[0] is False
