"""`churn experiment`: what a person types and reads."""

import json

import pytest

from churn_store.cli.experiments import experiment
from churn_store.errors import InputError
from churn_store.experiments.history import read
from churn_store.releases.log import newest
from tests.release_factory import Candidate, release
from tests.store.test_release_commands import WHO, Home, home

__all__ = ["home"]

pytestmark = pytest.mark.integration

PLAN = ("--effect", "0.02", "--deviation", "0.3", *WHO)


def test_an_experiment_from_its_plan_to_its_end(home: Home, candidate: Candidate, other_candidate: Candidate) -> None:
    release(home.engine, home.files, candidate)
    rival = home.judged(other_candidate)
    typed = (
        "create",
        "rival",
        "--challenger",
        rival[:8],
        "--metric",
        "log_loss",
        "--share",
        "0.4",
        "--guard",
        "profit=0.5",
        *PLAN,
    )
    said = home.says(experiment, *typed)
    plan = read(home.engine, "rival").experiment
    arms = f"{(plan.control or '')[:12]} and {rival[:12]}"
    assert said == (
        f"rival  created  models: {arms}, 40% treated by customer  log_loss within 30 days  {plan.planned_size:,} matured customers "
        f"planned, no verdict before {plan.minimum_size:,}\n"
    )
    assert home.says(experiment, "start", "rival", *WHO).startswith("rival  running")
    assert newest(home.engine).challenger_share == 0.4
    shown = home.says(experiment, "show", "rival")
    assert "  guard-rail: profit at most 0.5 worse\n" in shown
    assert "  2026-02-02 00:00  started by ada: she looked at it, epoch 2\n" in shown
    told = json.loads(home.says(experiment, "show", "rival", "--json"))
    assert (told["state"], told["challenger"], len(told["decisions"])) == ("running", rival, 2)
    assert home.says(experiment, "stop", "rival", *WHO).startswith("rival  stopped")
    assert newest(home.engine).challenger is None
    home.says(experiment, "create", "calls", "--metric", "retention", *PLAN)
    assert [line.split()[:2] for line in home.says(experiment, "list").splitlines()] == [
        ["calls", "created"], ["rival", "stopped"],
    ]  # fmt: skip
    assert [json.loads(line)["name"] for line in home.says(experiment, "list", "--json").splitlines()] == ["calls", "rival"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("create", "calls", "--metric", "retention", "--guard", "profit=much", *PLAN), "no number behind ="),
        (("create", "Calls", "--metric", "retention", *PLAN), r"can't be used: Expected `str` matching.*name"),
        (("create", "calls", "--metric", "retention", "--share", "1", *PLAN), r"can't be used: .*share"),
        (("start", "calls", *WHO), "there is no experiment 'calls'"),
    ],
)
def test_a_wrong_use_is_one_sentence(home: Home, candidate: Candidate, typed: tuple[str, ...], said: str) -> None:
    release(home.engine, home.files, candidate)
    with pytest.raises(InputError, match=said):
        home.says(experiment, *typed)
