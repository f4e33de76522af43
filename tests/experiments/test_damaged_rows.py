"""Rows of experiments that no code here wrote: named and put aside, while the others are read and nothing is started beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import InputError
from churn_store.experiments.history import append, insert, listed, put_aside, read, running, turn_of_start, unfinished
from churn_store.experiments.record import UnreadableExperimentError
from tests.experiments.made import an_experiment, event
from tests.release_factory import NOW_S

PLAN = "UPDATE experiments SET {} WHERE name = 'calls'"
START = "UPDATE experiment_events SET {} WHERE experiment = 'calls' AND number = 2"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """A database whose columns hold any value."""
    address = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(address)
    found = connect(address)
    plan = an_experiment(found)
    insert(found, type(plan)(**{**_told(plan), "name": "other"}), event("other", 1, "created"))
    yield found
    found.dispose()


def _told(plan: Any) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__struct_fields__}


def do(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "table", "said"),
    [
        (PLAN.format("share = 'abc'"), "experiments", "share"),
        (PLAN.format("share = 7"), "experiments", "share"),
        (PLAN.format("effect = 9e999"), "experiments", "effect"),
        (PLAN.format("metric = 'secret word'"), "experiments", "metric"),
        (PLAN.format("guard_rails = 'no list'"), "experiments", "guard_rails"),
        (PLAN.format("profit = x'ff'"), "experiments", "profit"),
        (PLAN.format("salt = CAST(x'ff' AS TEXT)"), "experiments", "salt"),
        ("DELETE FROM experiments WHERE name = 'calls'", "experiments", "no plan"),
        (START.format("kind = 'secret word'"), "experiment_events", "kind"),
        (START.format("at_s = 'soon'"), "experiment_events", "at_s"),
        (START.format("at_s = 99999999999999"), "experiment_events", "at_s"),
        (START.format("turn = NULL"), "experiment_events", "turn"),
        (START.format("turn = 'first'"), "experiment_events", "turn"),
        (START.format("number = 7"), "experiment_events", "number 2"),
    ],
)
def test_a_damaged_row_is_named_hides_no_other_and_keeps_another_experiment_from_starting(
    engine: sa.Engine, statement: str, table: str, said: str
) -> None:
    do(engine, statement)
    (aside,) = put_aside(engine)
    assert (aside.table, aside.name.partition(",")[0]) == (table, "calls")
    assert said in aside.why
    assert "secret" not in aside.sentence
    assert [record.experiment.name for record in listed(engine, limit=5)] == ["other"]
    with pytest.raises(UnreadableExperimentError, match=r"experiment calls can't be read .*; restore them from a backup"):
        read(engine, "calls")
    assert read(engine, "other").state == "created"
    assert running(engine) is None
    with pytest.raises(InputError, match="experiment calls can't be read"):
        turn_of_start(engine)
    assert unfinished(engine, now_s=NOW_S) == ["calls"]


def test_a_damaged_experiment_that_never_ran_or_has_ended_holds_nothing_up(engine: sa.Engine) -> None:
    append(engine, event("calls", 3, "stopped"))
    do(engine, "UPDATE experiments SET share = 'abc'")
    assert {row.name for row in put_aside(engine)} == {"calls", "other"}
    assert turn_of_start(engine) == 2


def test_the_turn_of_a_damaged_experiment_that_has_ended_hides_none_that_runs(engine: sa.Engine) -> None:
    append(engine, event("calls", 3, "stopped"))
    append(engine, event("other", 2, "started", turn=2))
    do(engine, START.format("turn = 'last'"))
    found = running(engine)
    assert found is not None
    assert found.experiment.name == "other"
