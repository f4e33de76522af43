"""Decisions about experiments: which are allowed when, that each is one row with its author, and that two writers can't both win."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.database.schema import experiment_events
from churn_store.errors import FencedError, InputError, ReleaseError
from churn_store.experiments import lifecycle
from churn_store.experiments.assignment import is_treated
from churn_store.experiments.history import listed, read, running
from churn_store.experiments.lifecycle import create, start, stop
from churn_store.experiments.plan import GuardRail, Wish
from churn_store.experiments.promotion import promote
from churn_store.experiments.record import Running, UnknownExperimentError
from churn_store.experiments.results import LEFT_OUT, results
from churn_store.releases.approval import approve
from churn_store.releases.bundles import stage
from churn_store.releases.challenge import challenge, end_challenge
from churn_store.releases.lifecycle import candidate_of
from churn_store.releases.log import history, newest
from churn_store.releases.manifest import Evaluation
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import publish
from tests.experiments.test_results import T_S, asked, log, post, stayed
from tests.release_factory import NOW_S, Candidate, bless, release, small_columns, train

ADA: dict[str, Any] = {"by": "Ada", "reason": "to know", "now_s": NOW_S + 60}
BOB: dict[str, Any] = {"by": "Bob", "reason": "known enough", "now_s": NOW_S + 120}
SIZES: dict[str, Any] = {"effect": 0.02, "deviation": 0.3}


@pytest.fixture
def rival(engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate) -> str:
    """A champion serves, and this accepted candidate waits."""
    release(engine, files, candidate)
    return judged(engine, files, other_candidate)


def judged(engine: sa.Engine, files: DigestStore, candidate: Candidate, verdict: str = "accepted") -> str:
    staged = stage(files, candidate.contents, candidate.manifest)
    serving = newest(engine)
    bless(engine, staged, verdict, epoch=0 if serving is None else serving.epoch)
    return staged.candidate


def of_models(rival: str, **changes: Any) -> Wish:
    told = {"name": "rival", "subject": "models", "challenger": rival, "metric": "log_loss", "share": 0.4, **SIZES}
    return Wish(**{**told, **changes})


def of_actions(**changes: Any) -> Wish:
    return Wish(**{"name": "calls", "subject": "actions", "metric": "retention", **SIZES, **changes})


def test_an_experiment_of_models_is_planned_runs_on_a_challenge_and_ends_with_it(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, rival: str
) -> None:
    record = create(engine, files, of_models(rival, guard_rails=(GuardRail("profit", 0.5),)), **ADA)
    assert record == read(engine, "rival")
    plan = record.experiment
    assert (record.state, plan.control, plan.challenger) == ("created", candidate_of(files, newest(engine).champion), rival)
    assert plan.horizon_days == 30
    assert plan.profit is not None
    assert 200 < plan.minimum_size < plan.planned_size < 50_000
    assert running(engine) is None
    assert newest(engine).epoch == 1

    started = start(engine, files, "rival", **ADA)
    row = newest(engine)
    assert (row.kind, row.challenger_share, row.actor, row.reason) == (
        "challenged",
        0.4,
        "Ada",
        "experiment rival: to know",
    )
    assert (started.state, started.events[-1].epoch) == ("running", row.epoch)
    assert running(engine) == Running(plan, row.epoch)

    stopped = stop(engine, files, "rival", **BOB)
    assert newest(engine).kind == "challenge_ended"
    assert newest(engine).challenger is None
    assert [(one.number, one.kind, one.actor, one.reason, one.epoch, one.found) for one in stopped.events] == [
        (1, "created", "Ada", "to know", None, ""),
        (2, "started", "Ada", "to know", 2, ""),
        (
            3,
            "stopped",
            "Bob",
            "known enough",
            3,
            f"Too early: 0 matured customers, and there is no verdict before {plan.minimum_size:,}.",
        ),
    ]
    assert running(engine) is None
    assert stop(engine, files, "rival", **ADA) == stopped
    assert [row.epoch for row in history(engine)] == [3, 2, 1]


def test_an_experiment_of_actions_touches_no_release(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    create(engine, files, of_actions(share=0.9, unit="X-Account-Id"), **ADA)
    started = start(engine, files, "calls", **ADA)
    assert running(engine) == Running(started.experiment, None)
    assert (started.experiment.header, started.experiment.shares) == ("x-account-id", (pytest.approx(0.1), 0.9))
    stop(engine, files, "calls", **BOB)
    assert [row.epoch for row in history(engine)] == [1]
    assert rival


def test_one_experiment_runs_at_a_time_and_each_only_once(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    create(engine, files, of_models(rival), **ADA)
    create(engine, files, of_actions(), **BOB)
    with pytest.raises(InputError, match="never started"):
        stop(engine, files, "calls", **ADA)
    start(engine, files, "calls", **ADA)
    with pytest.raises(InputError, match="experiment calls runs; one runs at a time"):
        start(engine, files, "rival", **ADA)
    stop(engine, files, "calls", **ADA)
    with pytest.raises(InputError, match="started already; an experiment runs once"):
        start(engine, files, "calls", **ADA)
    start(engine, files, "rival", **ADA)
    assert [one.experiment.name for one in listed(engine, limit=5)] == ["calls", "rival"]
    with pytest.raises(UnknownExperimentError, match="there is no experiment 'nothing'"):
        read(engine, "nothing")


def test_of_two_starts_at_once_one_wins(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    names = [f"calls-{number}" for number in range(4)]
    for name in names:
        create(engine, files, of_actions(name=name), **ADA)

    def begin(name: str) -> bool:
        try:
            return start(engine, files, name, **ADA).state == "running"
        except (FencedError, InputError):
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(begin, names)) == 1
    with engine.connect() as connection:
        turns = connection.execute(sa.select(experiment_events.c.turn).where(experiment_events.c.turn.is_not(None)))
        assert turns.scalars().all() == [1]
    assert rival


def test_a_start_that_another_start_overtakes_says_so_and_changes_no_release(
    engine: sa.Engine, files: DigestStore, rival: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(engine, files, of_models(rival), **ADA)
    create(engine, files, of_actions(), **BOB)

    def overtaken(*args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        start(engine, files, "calls", **BOB)
        return challenge(*args, **more)

    monkeypatch.setattr(lifecycle, "challenge", overtaken)
    with pytest.raises(FencedError, match="another experiment, or rival itself, was started meanwhile") as refused:
        start(engine, files, "rival", **ADA)
    assert "published" not in str(refused.value)
    assert [row.epoch for row in history(engine)] == [1]
    assert read(engine, "rival").state == "created"


def test_a_stopped_experiment_leaves_another_release_alone(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    create(engine, files, of_models(rival), **ADA)
    start(engine, files, "rival", **ADA)
    end_challenge(engine, files, by="Bob", reason="complaints", now_s=NOW_S)
    row = newest(engine)
    assert stop(engine, files, "rival", **ADA).events[-1].epoch is None
    assert newest(engine) == row


def test_a_start_that_the_releases_refuse_leaves_nothing(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    rejected = judged(engine, files, other_candidate, "rejected")
    create(engine, files, of_models(rejected), **ADA)
    with pytest.raises(InputError, match="was not accepted"):
        start(engine, files, "rival", **ADA)
    assert (read(engine, "rival").state, newest(engine).epoch) == ("created", 1)
    assert start(engine, files, "rival", **ADA, override=True).state == "running"


def test_a_start_needs_the_champion_of_its_plan_and_no_other_challenger(
    engine: sa.Engine, files: DigestStore, rival: str
) -> None:
    create(engine, files, of_models(rival), **ADA)
    challenge(engine, files, rival, share=0.1, **BOB)
    with pytest.raises(InputError, match="a challenger answers already"):
        start(engine, files, "rival", **ADA)
    approve(engine, files, judged(engine, files, train(seed=9)), **BOB)
    with pytest.raises(InputError, match="planned against another champion"):
        start(engine, files, "rival", **ADA)
    assert read(engine, "rival").state == "created"


def test_a_challenger_in_shadow_may_go_on_to_an_experiment(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    create(engine, files, of_models(rival), **ADA)
    shadowed = challenge(engine, files, rival, share=0.0, **BOB)
    assert (shadowed.kind, shadowed.is_shadowed) == ("shadowed", True)
    start(engine, files, "rival", **ADA)
    row = newest(engine)
    assert (row.kind, row.challenger, row.is_shadowed) == ("challenged", shadowed.challenger, False)


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("subject", "changes", "said"),
    [
        ("models", {"share": 0.6}, "expected at most 0.5"),
        ("models", {"challenger": None}, "needs a challenger"),
        ("models", {"horizon_days": 29}, "ends before the champion's"),
        ("models", {"guard_rails": (GuardRail("log_loss"),)}, "occurs twice"),
        ("models", {"effect": 1e-9}, "look for a greater one"),
        ("models", {"effect": 1.4e-123, "deviation": 1.3e308}, "look for a greater one"),
        ("models", {"effect": float("inf")}, "not a finite number"),
        ("actions", {"metric": "log_loss"}, "treats some"),
        ("actions", {"guard_rails": (GuardRail("log_loss"),)}, "treats some"),
        ("actions", {"unit": "Cookie"}, "is a secret"),
        *(
            ("actions", {"unit": unit}, f"the header {unit} says nothing of a customer.*such as X-Account-Id")
            for unit in ("Host", "Content-Length", "User-Agent", "accept-language", "X-Forwarded-For")
        ),
        ("actions", {"deviation": 0.51}, "at most 0.5"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_what_to_do(
    engine: sa.Engine, files: DigestStore, rival: str, subject: str, changes: dict[str, Any], said: str
) -> None:
    wish = of_models(rival, **changes) if subject == "models" else of_actions(**changes)
    with pytest.raises(InputError, match=said):
        create(engine, files, wish, **ADA)
    assert listed(engine, limit=5) == []


def test_a_plan_needs_something_to_compare(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    with pytest.raises(InputError, match="nothing was released yet"):
        create(engine, files, of_actions(), **ADA)
    champion = release(engine, files, candidate)
    with pytest.raises(InputError, match="champion's model"):
        create(engine, files, of_models(champion.champion), **ADA)
    with pytest.raises(ReleaseError, match="takes other columns"):
        create(engine, files, of_models(judged(engine, files, train(small_columns(4)))), **ADA)
    create(engine, files, of_actions(), **ADA)
    with pytest.raises(InputError, match="there is an experiment calls already"):
        create(engine, files, of_actions(), **ADA)


def test_profit_needs_a_release_that_says_what_a_customer_is_worth(engine: sa.Engine, files: DigestStore) -> None:
    older = train(horizon_days=None)
    manifest = msgspec.structs.replace(
        older.manifest, format=1, evaluation=msgspec.UNSET, parameters=msgspec.UNSET, calibrated_on=msgspec.UNSET,
        population=msgspec.UNSET, purpose=msgspec.UNSET, normalisation=msgspec.UNSET,
    )  # fmt: skip
    assert isinstance(older.manifest.evaluation, Evaluation)
    release(engine, files, Candidate(manifest, older.contents, older.pipeline))
    with pytest.raises(InputError, match="no profit to compare"):
        create(engine, files, of_actions(metric="profit", horizon_days=30), **ADA)
    with pytest.raises(InputError, match="has no horizon; name the days"):
        create(engine, files, of_actions(), **ADA)
    assert create(engine, files, of_actions(horizon_days=45), **ADA).experiment.horizon_days == 45


def won(engine: sa.Engine, files: DigestStore, rival: str, **changes: Any) -> None:
    """An experiment of models that runs, with predictions and outcomes that prove the challenger better."""
    create(engine, files, of_models(rival, share=0.5, metric="retention", **changes), **ADA)
    start(engine, files, "rival", **ADA)
    salt = read(engine, "rival").experiment.salt
    treated = {f"c{i}": is_treated(salt, f"c{i}", 0.5) for i in range(2_000)}
    rows = [
        asked(one, experiment="rival", arm="treatment" if is_challengers else "control",
              role="challenger" if is_challengers else "champion")
        for one, is_challengers in treated.items()
    ]  # fmt: skip
    log(engine, rows)
    post(
        engine,
        [stayed(one, churned=not is_challengers and int(one[1:]) % 3 == 0) for one, is_challengers in treated.items()],
    )


def test_a_won_experiment_is_promoted_by_one_call_and_one_row(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    won(engine, files, rival)
    promoted = promote(engine, files, "rival", **BOB)
    row = newest(engine)
    assert (row.epoch, row.kind, row.challenger) == (3, "approved", None)
    assert (row.actor, row.reason) == ("Bob", "experiment rival is won: known enough")
    assert candidate_of(files, row.champion) == rival
    assert (promoted.state, promoted.events[-1].kind, promoted.events[-1].epoch) == ("stopped", "promoted", 3)
    assert promoted.events[-1].found.startswith("The challenger is better: retention +0.3")
    assert running(engine) is None
    assert promote(engine, files, "rival", **ADA) == promoted
    assert newest(engine) == row


def test_an_experiment_that_is_not_won_promotes_nothing(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    create(engine, files, of_models(rival), **ADA)
    create(engine, files, of_actions(), **ADA)
    with pytest.raises(InputError, match=r"not won\. Nothing is known"):
        promote(engine, files, "rival", **BOB)
    start(engine, files, "rival", **ADA)
    with pytest.raises(InputError, match=r"not won\. Too early"):
        promote(engine, files, "rival", **BOB, override=True)
    with pytest.raises(InputError, match="has no release to promote"):
        promote(engine, files, "calls", **BOB)
    assert newest(engine).epoch == 2
    assert read(engine, "rival").state == "running"


def test_a_won_experiment_is_not_promoted_while_labels_that_can_not_be_read_leave_customers_out(
    engine: sa.Engine, files: DigestStore, rival: str
) -> None:
    won(engine, files, rival)
    arm = "treatment" if is_treated(read(engine, "rival").experiment.salt, "unposted", 0.5) else "control"
    log(engine, [asked("unposted", experiment="rival", arm=arm)])
    labels = {"unposted": False}
    published = publish(files, labels, snapshot_s=T_S)
    [file] = Path(files.url).rglob(published.digest)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"experiment rival is not promoted while labels of the lake can't be read.*was changed"
    ):
        promote(engine, files, "rival", **BOB)
    assert stop(engine, files, "rival", **BOB).events[-1].found.endswith(LEFT_OUT)
    publish(files, labels, snapshot_s=T_S)
    assert promote(engine, files, "rival", **BOB).events[-1].kind == "promoted"


def test_a_won_experiment_is_not_promoted_over_another_champion(engine: sa.Engine, files: DigestStore, rival: str) -> None:
    won(engine, files, rival)
    stop(engine, files, "rival", **ADA)
    approve(engine, files, judged(engine, files, train(seed=9)), **BOB)
    with pytest.raises(InputError, match="another champion serves"):
        promote(engine, files, "rival", **BOB)


def test_a_promotion_that_a_release_overtakes_changes_nothing(
    engine: sa.Engine, files: DigestStore, rival: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    won(engine, files, rival)
    faster = judged(engine, files, train(seed=9))

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        approve(engine, files, faster, **ADA)
        return results(*args, **kwargs)

    monkeypatch.setattr("churn_store.experiments.promotion.results", overtaken)
    with pytest.raises(FencedError):
        promote(engine, files, "rival", **BOB)
    assert candidate_of(files, newest(engine).champion) == faster
    assert read(engine, "rival").state == "running"
