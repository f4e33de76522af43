"""Which outcome tells of a window: by the time of the answer, of the receipt, and of the leaving."""

from typing import Any

import pytest
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import Receipt, Sender
from churn_store.experiments.exposures import exposures
from churn_store.experiments.history import append, read
from churn_store.experiments.lake_labels import LakeLabels
from churn_store.experiments.plan import ARMS
from churn_store.experiments.windows import Fate, Said, Window, fate_in
from churn_store.outcomes.log import Outcome, record
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import an_experiment, event
from tests.experiments.test_results import asked, log, names
from tests.release_factory import NOW_S

D0 = 20_000 * DAY_S
ASKED = D0 + 10 * 3_600
OF_SNAPSHOT = Window(first_s=ASKED, answered_s=ASKED, closes_s=D0 + 30 * DAY_S, has_snapshot=True)
BY_ATTRIBUTES = Window(first_s=ASKED, answered_s=ASKED, closes_s=ASKED + 30 * DAY_S, has_snapshot=False)
STAYED, GONE = Fate(churned=False), Fate(churned=True, is_gone=True)


def stays(day: float) -> Said:
    return Said(churned=False, occurred_s=None, received_s=D0 + day * DAY_S)


def leaves(day: float, at: float | None = None) -> Said:
    return Said(churned=True, occurred_s=None if at is None else D0 + at * DAY_S, received_s=D0 + day * DAY_S)


def left(at: float) -> Fate:
    return Fate(churned=True, left_s=D0 + at * DAY_S)


@pytest.mark.parametrize(
    ("said", "fate"),
    [
        ([stays(29.9)], None),
        ([stays(30)], STAYED),
        ([stays(10), leaves(20)], Fate(churned=True)),
        ([leaves(20), stays(29)], None),
        ([leaves(400, at=399)], STAYED),
        ([leaves(31, at=30)], STAYED),
        ([leaves(31, at=29)], left(29)),
        ([leaves(40)], Fate(churned=True)),
        ([leaves(0.4)], GONE),
        ([leaves(5, at=0)], left(0)),
        ([leaves(5, at=0.25)], Fate(churned=True, left_s=D0 + DAY_S / 4, is_gone=True)),
        ([leaves(5, at=-1)], Fate(churned=True, left_s=D0 - DAY_S, is_gone=True)),
    ],
    ids=str,
)
def test_of_a_snapshot(said: list[Said], fate: Fate | None) -> None:
    assert fate_in(OF_SNAPSHOT, said) == fate


@pytest.mark.parametrize(
    ("said", "fate"),
    [
        ([stays(-1)], None),
        ([leaves(-1)], None),
        ([leaves(-1), stays(31)], STAYED),
        ([stays(31), leaves(91)], STAYED),
        ([stays(31), leaves(45)], STAYED),
        ([stays(31), leaves(45, at=20)], left(20)),
        ([stays(31), leaves(91, at=80)], STAYED),
        ([leaves(20), stays(91)], Fate(churned=True)),
        ([leaves(20), stays(31)], STAYED),
        ([leaves(33)], Fate(churned=True)),
        ([leaves(91)], None),
        ([stays(91)], None),
        ([leaves(91, at=20)], left(20)),
        ([leaves(91, at=80)], STAYED),
        ([stays(20)], None),
    ],
    ids=str,
)
def test_by_attributes(said: list[Said], fate: Fate | None) -> None:
    assert fate_in(BY_ATTRIBUTES, said) == fate


def counted(engine: sa.Engine, files: DigestStore, name: str, now_s: float) -> tuple[int, int]:
    """Matured units, and those of them who left."""
    plan = read(engine, name).experiment
    found = exposures(engine, plan, LakeLabels(lambda: files, horizon_days=plan.horizon_days, now_s=now_s), now_s=now_s)
    values = [value for arm in ARMS for value in found.arms[arm].of("retention")]
    return len(values), values.count(0.0)


def test_outcomes_of_one_experiments_windows_count_in_no_other(engine: sa.Engine, tmp_path: Any) -> None:
    files, hour = DigestStore(str(tmp_path)), 3_600
    first_s, second_s = NOW_S - 200 * DAY_S, NOW_S - 140 * DAY_S
    an_experiment(engine, name="first", salt="a")
    append(engine, event("first", 3, "stopped"))
    an_experiment(engine, name="second", salt="b", turn=2)
    customers = names(40)
    for name, at_s in (("first", first_s), ("second", second_s)):
        log(engine, [asked(one, snapshot_s=None, answered_s=at_s, experiment=name) for one in customers])
    after_s = first_s + 30 * DAY_S + hour
    record(engine, [Outcome(one, None, one < "c2") for one in customers], Sender("k", "r", after_s))
    before = counted(engine, files, "first", NOW_S)
    assert before == (40, sum(one < "c2" for one in customers))
    assert counted(engine, files, "second", NOW_S) == (0, 0)
    record(engine, [Outcome(one, None, True) for one in customers], Sender("k", "s", second_s + 20 * DAY_S))
    assert counted(engine, files, "first", NOW_S) == before
    assert counted(engine, files, "second", NOW_S)[1] > 20


def test_who_is_said_to_stay_again_after_the_close_counts(engine: sa.Engine, tmp_path: Any) -> None:
    files, begun_s = DigestStore(str(tmp_path)), NOW_S - 100 * DAY_S
    an_experiment(engine)
    log(engine, [asked("c1", snapshot_s=begun_s, answered_s=begun_s + 1)])
    stayed = [Outcome("c1", begun_s, False)]
    record(engine, stayed, Sender("k", "r", begun_s + DAY_S))
    assert counted(engine, files, "calls", NOW_S) == (0, 0)
    again = record(engine, stayed, Sender("k", "s", begun_s + 31 * DAY_S))
    assert again == Receipt(received=1, added=0, corrected=0, unchanged=1, repeated=0)
    assert counted(engine, files, "calls", NOW_S) == (1, 0)
    record(engine, stayed, Sender("k", "t", begun_s + 31 * DAY_S + 60))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM outcomes")).scalar_one() == 2
