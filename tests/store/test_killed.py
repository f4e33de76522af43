"""kill -9 at every step of a release, and writers that meet right before they write: real processes, on both databases."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.errors import FencedError
from churn_store.releases.approval import APPROVING, OVERRIDING, approve
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import stage
from churn_store.releases.challenge import CHALLENGING, ENDING, challenge, end_challenge
from churn_store.releases.log import STEPS, history, newest, publish
from churn_store.releases.manifest import Blessing, Manifest, Rule, encode
from churn_store.releases.rollback import ROLLING_BACK, roll_back
from churn_store.storage.digest_store import DigestStore
from tests.fault_table import Fault
from tests.release_factory import NOW_S, Candidate, bless, release
from tests.store.invariants import assert_invariants
from tests.store.writers import killed, make_and_publish, promote, publish_as, together

ACCEPTED = Blessing("", "accepted", (Rule("auc", True, "0.8", "0.6"),), "gate", NOW_S)
WHO: dict[str, Any] = {"by": "ada", "reason": "she knows", "now_s": NOW_S}


@pytest.fixture
def manifests(candidate: Candidate) -> Iterator[Manifest]:
    """Any number of different candidates with the same files."""
    return (msgspec.structs.replace(candidate.manifest, created_s=second) for second in range(10**6))


def kind_of(database_url: str) -> str:
    return sa.make_url(database_url).get_backend_name()


def epoch_of(engine: sa.Engine) -> int:
    row = newest(engine)
    return 0 if row is None else row.epoch


def test_the_steps_are_all_that_a_release_goes_through(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    seen: list[str] = []
    staged = stage(files, candidate.contents, candidate.manifest, reached=seen.append)
    blessing = msgspec.structs.replace(ACCEPTED, candidate=staged.candidate)
    record_blessing(engine, blessing, reached=seen.append)
    publish(engine, files, staged, blessing, read_epoch=0, actor="a", reason="r", now_s=0, reached=seen.append)
    assert tuple(seen) == STEPS
    assert len(set(STEPS)) == 11


@pytest.mark.faults
def test_killed_at_any_step_a_publish_leaves_the_invariants_and_can_be_repeated(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    manifests: Iterator[Manifest],
    fault: Fault,
) -> None:
    fault.names(
        f"publishing run killed ({kind_of(empty_database)})", done=f"-9 at each of {len(STEPS)} steps, then once more"
    )
    for rows, step in enumerate(STEPS):
        asked = (empty_database, files.url, candidate.contents, encode(next(manifests)), msgspec.json.encode(ACCEPTED))
        assert killed(step, make_and_publish, *asked, read_epoch=rows), step
        assert_invariants(engine, files, rows=rows + (step == "row committed"), at=step)
        assert not killed("never", make_and_publish, *asked, read_epoch=rows), step
        assert_invariants(engine, files, rows=rows + 1, at=step)
    fault.held("one verified release a row at each step; the repeated run publishes")


@pytest.mark.faults
@pytest.mark.parametrize("override", [False, True])
def test_killed_at_any_step_an_approval_can_be_repeated(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    manifests: Iterator[Manifest],
    override: bool,
    fault: Fault,
) -> None:
    what = "override" if override else "approval"
    fault.names(f"{what} killed ({kind_of(empty_database)})", done="-9 at each step, then once more")
    steps = OVERRIDING if override else APPROVING
    for rows, step in enumerate(steps):
        staged = stage(files, candidate.contents, next(manifests))
        bless(engine, staged, "undecided" if override else "accepted", epoch=epoch_of(engine))
        asked = (empty_database, files.url, "approve", staged.candidate)
        assert killed(step, promote, *asked, **WHO, override=override), step
        assert_invariants(engine, files, rows=rows + (step == "row committed"), at=step)
        row = approve(engine, files, staged.candidate, **WHO, override=override)
        assert (row.epoch, row.kind) == (rows + 1, "overridden" if override else "approved"), step
        assert_invariants(engine, files, rows=rows + 1, at=step)
    fault.held("row there or not, never half; the repeated command releases")


@pytest.mark.faults
def test_killed_at_any_step_a_rollback_can_be_repeated(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    other_candidate: Candidate,
    fault: Fault,
) -> None:
    fault.names(f"rollback killed ({kind_of(empty_database)})", done="-9 at each step, then once more")
    former = release(engine, files, candidate).champion
    release(engine, files, other_candidate)
    for done, step in enumerate(ROLLING_BACK):
        bad = publish_again(engine, files, other_candidate, second=done)
        assert killed(step, promote, empty_database, files.url, "roll_back", **WHO, to=1), step
        assert newest(engine).champion == (former if step == "row committed" else bad), step
        row = roll_back(engine, files, **WHO, to=1)
        assert (row.champion, row.epoch) == (former, bad_epoch(engine) + 1), step
        assert_invariants(engine, files, rows=row.epoch, at=step)
    fault.held("the bad or the former champion serves, whole; the repeated command goes back")


def publish_again(engine: sa.Engine, files: DigestStore, candidate: Candidate, *, second: int) -> str:
    staged = stage(files, candidate.contents, msgspec.structs.replace(candidate.manifest, created_s=second))
    blessing = bless(engine, staged)
    before = epoch_of(engine)
    return publish(engine, files, staged, blessing, read_epoch=before, actor="t", reason="bad", now_s=NOW_S).champion


def bad_epoch(engine: sa.Engine) -> int:
    """The newest row that was not a rollback."""
    return next(row.epoch for row in history(engine) if row.kind != "rolled_back")


@pytest.mark.faults
def test_killed_at_any_step_a_challenge_and_its_end_can_be_repeated(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    other_candidate: Candidate,
    fault: Fault,
) -> None:
    fault.names(f"challenge and its end killed ({kind_of(empty_database)})", done="-9 at each step, then once more")
    release(engine, files, candidate)
    for second, step in enumerate(CHALLENGING):
        rows = epoch_of(engine)
        manifest = msgspec.structs.replace(other_candidate.manifest, created_s=second)
        staged = stage(files, other_candidate.contents, manifest)
        bless(engine, staged, epoch=rows)
        asked = (empty_database, files.url, "challenge", staged.candidate)
        assert killed(step, promote, *asked, **WHO, share=0.2), step
        assert_invariants(engine, files, rows=rows + (step == "row committed"), at=step)
        row = challenge(engine, files, staged.candidate, **WHO, share=0.2)
        assert (row.epoch, row.challenger_share) == (rows + 1, 0.2), step
    for step in ENDING[:-1]:
        assert killed(step, promote, empty_database, files.url, "end_challenge", **WHO), step
        assert newest(engine).challenger is not None, step
    assert end_challenge(engine, files, **WHO).challenger is None
    assert_invariants(engine, files, rows=epoch_of(engine))
    fault.held("row there or not, never half; both can be repeated")


@pytest.mark.faults
def test_of_two_processes_that_publish_at_the_same_moment_exactly_one_wins(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    manifests: Iterator[Manifest],
    fault: Fault,
) -> None:
    fault.names(f"two runs publish at once ({kind_of(empty_database)})", done="8 times, let go at the same step")
    for rows in range(8):
        rivals = []
        for _ in range(2):
            staged = stage(files, candidate.contents, next(manifests))
            blessing = bless(engine, staged, epoch=rows)
            args = (empty_database, files.url, encode(staged), msgspec.json.encode(blessing))
            rivals.append((publish_as, args, {"read_epoch": rows}))
        assert together(("release verified",), rivals) == ["fenced", "won"]
        assert_invariants(engine, files, rows=rows + 1)
    fault.held("each time one won and the other was told so")


@pytest.mark.faults
def test_of_an_approval_and_a_rollback_at_the_same_moment_exactly_one_wins(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    other_candidate: Candidate,
    manifests: Iterator[Manifest],
    fault: Fault,
) -> None:
    """Both read the same newest epoch: whoever comes second is told, rather than undoing what the first has done."""
    fault.names(f"approval and rollback at once ({kind_of(empty_database)})", done="4 times, let go at the same step")
    first = release(engine, files, candidate)
    for rows in range(2, 6):
        publish_again(engine, files, other_candidate, second=rows)
        before = epoch_of(engine)
        staged = stage(files, candidate.contents, next(manifests))
        bless(engine, staged, epoch=before)
        where = (empty_database, files.url)
        approval = (promote, (*where, "approve", staged.candidate), {"by": "ada", "reason": "better", "now_s": NOW_S})
        rollback = (promote, (*where, "roll_back"), {"by": "bob", "reason": "worse", "now_s": NOW_S, "to": first.epoch})
        assert together(("release verified", "former champion verified"), [approval, rollback]) == ["fenced", "won"]
        assert_invariants(engine, files, rows=before + 1)
    fault.held("each time one won and the other was told so")


@pytest.mark.faults
def test_an_older_writer_is_fenced_also_when_it_was_killed_and_comes_back(
    engine: sa.Engine,
    empty_database: str,
    files: DigestStore,
    candidate: Candidate,
    other_candidate: Candidate,
    fault: Fault,
) -> None:
    fault.names(f"killed run comes back late ({kind_of(empty_database)})", done="another release while it was dead")
    asked = (empty_database, files.url, candidate.contents, encode(candidate.manifest), msgspec.json.encode(ACCEPTED))
    assert killed("release verified", make_and_publish, *asked, read_epoch=0)
    release(engine, files, other_candidate)
    staged = stage(files, candidate.contents, candidate.manifest)
    with pytest.raises(FencedError, match=r"epoch 1 \(.*\) was published since epoch 0 was read"):
        publish(
            engine, files, staged, msgspec.structs.replace(ACCEPTED, candidate=staged.candidate),
            read_epoch=0, actor="t", reason="t", now_s=0,
        )  # fmt: skip
    assert_invariants(engine, files, rows=1)
    fault.held("the late one is fenced by its epoch; one row")
