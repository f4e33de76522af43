"""Which periods are due, by tables of cases."""

from datetime import date

import pytest

from churn_assets.automation.due import (
    contiguous,
    features_due,
    first_snapshot,
    labels_due,
    newest_due,
    performance_due,
    raw_due,
)
from churn_assets.coverage import require_ended, require_history
from churn_assets.periods import Calendar
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

MONTHS = Calendar("monthly", date(2024, 1, 1))
JAN, FEB, MAR, APR, MAY, JUN = (f"2024-0{month}-01" for month in range(1, 7))


@pytest.mark.parametrize(
    ("calendar", "as_of", "have", "due"),
    [
        (MONTHS, date(2024, 1, 31), [], []),
        (MONTHS, date(2024, 2, 1), [], [JAN]),
        (MONTHS, date(2024, 2, 29), [JAN], []),
        (MONTHS, date(2024, 5, 1), [JAN], [FEB, MAR, APR]),
        (MONTHS, date(2024, 5, 1), [JAN, MAR, APR], [FEB]),
        (MONTHS, date(2023, 12, 1), [], []),
        (Calendar("weekly", date(2024, 1, 3)), date(2024, 1, 15), [], ["2024-01-01", "2024-01-08"]),
        (Calendar("weekly", date(2024, 1, 3)), date(2024, 1, 14), ["2024-01-01"], []),
        (Calendar("daily", date(2024, 2, 28)), date(2024, 3, 1), [], ["2024-02-28", "2024-02-29"]),
    ],
    ids=[
        "the first period still runs",
        "it ended today",
        "nothing new",
        "several are missing",
        "one is missing in the middle",
        "before the start",
        "weeks begin on Monday",
        "a week ends on Sunday night",
        "a leap day",
    ],
)
def test_raw_periods_are_due_once_they_have_ended_and_are_not_there(
    calendar: Calendar, as_of: date, have: list[str], due: list[str]
) -> None:
    assert raw_due(calendar, as_of, have) == due


@pytest.mark.parametrize(
    ("first", "as_of", "expected"),
    [
        (date(2024, 3, 1), date(2024, 2, 29), []),
        (date(2024, 3, 1), date(2024, 3, 1), [MAR]),
        (date(2024, 3, 2), date(2024, 4, 30), [APR]),
        (None, date(2024, 6, 30), []),
        (None, date(2024, 7, 1), ["2024-07-01"]),
    ],
    ids=["not yet", "on the day", "a first day within a period", "the longest window, 180 days, is not full", "it is full"],
)
def test_a_snapshot_exists_from_the_first_one_on_once_its_day_has_come(
    first: date | None, as_of: date, expected: list[str]
) -> None:
    tables: list[Table] = ["customers", "events", "payments"]
    begins = first_snapshot(MONTHS.start, tables, at_risk=AtRisk(), features=Features(first_snapshot=first))
    raw = [key.isoformat() for key in MONTHS.keys(date(2025, 1, 1))]
    assert features_due(MONTHS, as_of, first=begins, raw=raw, have=[]) == expected


@pytest.mark.parametrize(
    ("raw", "have", "due"),
    [
        ([], [], []),
        ([JAN], [], []),
        ([JAN, FEB], [], [MAR]),
        ([JAN, FEB, MAR], [MAR], [APR]),
        ([JAN, FEB, MAR, APR], [MAR], [APR, MAY]),
        ([JAN, FEB, APR], [], [MAR]),
        ([FEB, MAR, APR], [], []),
        ([JAN, FEB, MAR, APR, MAY], [], [MAR, APR, MAY]),
    ],
    ids=[
        "nothing is there",
        "a period is missing",
        "all before the snapshot is there",
        "only what is not there",
        "several",
        "a raw period is missing in the middle",
        "the first raw period is missing",
        "not beyond today",
    ],
)
def test_features_are_due_where_every_raw_period_before_the_snapshot_is_there(
    raw: list[str], have: list[str], due: list[str]
) -> None:
    assert features_due(MONTHS, date(2024, 5, 15), first=date(2024, 3, 1), raw=raw, have=have) == due


@pytest.mark.parametrize(
    ("as_of", "grace_days", "raw", "have", "due"),
    [
        (date(2024, 3, 31), 3, [JAN, FEB, MAR], [], []),
        (date(2024, 4, 3), 3, [JAN, FEB, MAR], [], []),
        (date(2024, 4, 3), 3, [JAN, FEB, MAR, APR], [], [MAR]),
        (date(2024, 4, 2), 3, [JAN, FEB, MAR, APR], [], []),
        (date(2024, 3, 31), 0, [JAN, FEB, MAR], [], [MAR]),
        (date(2024, 5, 1), 0, [JAN, FEB, MAR, APR], [], [MAR, APR]),
        (date(2024, 6, 3), 3, [JAN, FEB, MAR, APR, MAY], [MAR], [APR]),
        (date(2024, 6, 3), 3, [JAN, FEB, MAR, MAY], [], []),
    ],
    ids=[
        "the window is open",
        "mature, but the period of the grace has not arrived",
        "mature with all rows",
        "within the grace",
        "no grace: the window's own period suffices",
        "several",
        "only what is not there",
        "a raw period is missing in the middle",
    ],
)
def test_labels_are_due_once_every_outcome_can_be_known_and_has_arrived(
    as_of: date, grace_days: int, raw: list[str], have: list[str], due: list[str]
) -> None:
    label = Label(horizon_days=30, grace_days=grace_days)
    assert labels_due(MONTHS, label, as_of, raw=raw, features=[MAR, APR, MAY], have=have) == due


def test_a_snapshot_without_features_never_gets_labels() -> None:
    assert labels_due(
        MONTHS,
        Label(horizon_days=30, grace_days=3),
        date(2024, 6, 3),
        raw=[JAN, FEB, MAR, APR, MAY],
        features=[APR],
        have=[],
    ) == [APR]


@pytest.mark.parametrize(
    ("features", "release", "done", "due"),
    [
        ([], "a", None, None),
        ([MAR, APR], None, None, None),
        ([MAR, APR], "a", None, APR),
        ([MAR, APR], "a", (MAR, "a"), APR),
        ([MAR, APR], "a", (APR, "a"), None),
        ([MAR, APR], "b", (APR, "a"), APR),
    ],
    ids=["no features", "no release", "never done", "an older one was done", "done", "done by another release"],
)
def test_only_the_newest_snapshot_is_due_and_once_a_release(
    features: list[str], release: str | None, done: tuple[str, str] | None, due: str | None
) -> None:
    assert newest_due(features, release=release, done=done) == due


@pytest.mark.parametrize(
    ("keys", "stretches"),
    [
        ([], []),
        ([MAR], [(MAR, MAR)]),
        ([APR, JAN, FEB, MAR], [(JAN, APR)]),
        ([JAN, MAR, APR, JUN], [(JAN, JAN), (MAR, APR), (JUN, JUN)]),
        (["2023-12-01", JAN], [("2023-12-01", JAN)]),
    ],
    ids=["none", "one", "in any order", "with holes", "over the turn of the year"],
)
def test_a_stretch_ends_where_a_period_is_left_out(keys: list[str], stretches: list[tuple[str, str]]) -> None:
    assert list(contiguous(MONTHS, keys)) == stretches


def test_performance_is_due_for_new_restated_and_older_snapshots_with_published_labels() -> None:
    published = {JAN: "one", FEB: "two", MAR: "three"}
    assert performance_due(published, {}) == [JAN, FEB, MAR]
    assert performance_due(published, {JAN: "one", FEB: "two before"}) == [FEB, MAR]
    assert performance_due(published, {**published, APR: "labels that are gone"}) == []


def test_a_period_that_has_not_ended_is_refused_with_the_day_on_which_it_ends() -> None:
    calendar = Calendar("monthly", date(2024, 1, 1))
    require_ended(calendar, date(2024, 3, 1), ["2024-01-01", "2024-02-01"])
    with pytest.raises(InputError, match=r"2024-03-01: by the clock it is 2024-03-31; .* on 2024-04-01"):
        require_ended(calendar, date(2024, 3, 31), ["2024-02-01", "2024-03-01"])


@pytest.mark.parametrize(
    ("as_of", "snapshot", "refused"),
    [
        (date(2024, 3, 1), "2024-03-01", False),
        (date(2024, 2, 29), "2024-03-01", True),  # T has not come
        (date(2024, 6, 1), "2024-04-01", True),  # March is missing
    ],
)
def test_a_snapshot_that_lacks_a_raw_period_or_has_not_come_is_refused(
    as_of: date, snapshot: str, *, refused: bool
) -> None:
    calendar = Calendar("monthly", date(2024, 1, 1))
    raw = {"2024-01-01", "2024-02-01", "2024-04-01"}
    if refused:
        with pytest.raises(InputError, match="the raw periods are there up to 2024-03-01"):
            require_history(calendar, as_of, [snapshot], raw=raw)
    else:
        require_history(calendar, as_of, [snapshot], raw=raw)
