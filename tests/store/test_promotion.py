"""Who serves, by a named person's decision: what is refused, what is recorded, and what state a candidate is in."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.errors import FencedError, InputError, ReleaseError
from churn_store.releases.approval import approve, reject
from churn_store.releases.blessings import newest_blessing, record_blessing
from churn_store.releases.bundles import load_bundle, stage
from churn_store.releases.challenge import challenge, end_challenge
from churn_store.releases.lifecycle import states, waiting
from churn_store.releases.log import Serving, history, newest
from churn_store.releases.manifest import Blessing, Manifest, Rule
from churn_store.releases.rollback import roll_back
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S, Candidate, bless, release, small_columns, train

ADA: dict[str, Any] = {"by": "ada", "reason": "she looked at it", "now_s": NOW_S + 60}
BOB: dict[str, Any] = {"by": "bob", "reason": "too many offers", "now_s": NOW_S + 120}


def judged(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, verdict: str = "accepted", *, second: int = 0
) -> str:
    """A candidate, compared with who serves now; its digest."""
    staged = stage(files, candidate.contents, msgspec.structs.replace(candidate.manifest, created_s=second))
    row = newest(engine)
    bless(engine, staged, verdict, epoch=0 if row is None else row.epoch, gain=0.25)
    return staged.candidate


def manifest_of(files: DigestStore, digest: str) -> Manifest:
    return load_bundle(files, digest).manifest


def test_an_accepted_candidate_waits_until_somebody_approves_it(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    digest = judged(engine, files, candidate)
    assert newest(engine) is None
    assert [blessing.candidate for blessing in waiting(engine, files)] == [digest]
    row = approve(engine, files, digest, **ADA)
    assert (row.epoch, row.kind, row.actor, row.reason, row.gain) == (1, "approved", "ada", "she looked at it", 0.25)
    assert manifest_of(files, row.champion).blessing.verdict == "accepted"
    assert waiting(engine, files) == []


def undecided(engine: sa.Engine, files: DigestStore, candidate: Candidate, *, second: int = 0) -> str:
    """A candidate of which no rule failed and one could not be decided, judged beside who serves now; its digest."""
    staged = stage(files, candidate.contents, msgspec.structs.replace(candidate.manifest, created_s=second))
    row = newest(engine)
    rule = Rule("calibrated", False, "too few rows to tell: slope 0.6", "0.7 to 1.4", undecided=True)
    epoch = 0 if row is None else row.epoch
    record_blessing(engine, Blessing(staged.candidate, "undecided", (rule,), "gate", NOW_S, epoch=epoch))
    return staged.candidate


def test_an_undecided_candidate_may_be_the_first_and_says_so_for_ever(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    digest = undecided(engine, files, candidate)
    assert states(engine, files)[digest] == "waiting"
    assert [blessing.candidate for blessing in waiting(engine, files)] == [digest]
    row = approve(engine, files, digest, **ADA)
    assert (row.epoch, row.kind) == (1, "approved")
    assert manifest_of(files, row.champion).blessing.verdict == "undecided"
    assert manifest_of(files, row.champion).blessing.undecided_rules == ["calibrated"]
    second = undecided(engine, files, other_candidate, second=1)
    assert states(engine, files) == {second: "candidate", digest: "champion"}
    with pytest.raises(InputError, match=r"was not accepted: undecided by gate \(too few rows to tell: slope 0\.6"):
        approve(engine, files, second, **BOB)
    with pytest.raises(InputError, match="was not accepted: undecided"):
        challenge(engine, files, second, share=0.1, **BOB)
    assert newest(engine) == row


def test_what_was_undecided_as_the_first_replaces_nobody_who_came_since(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    early = undecided(engine, files, candidate)
    approve(engine, files, judged(engine, files, other_candidate), **ADA)
    assert states(engine, files)[early] == "candidate"
    with pytest.raises(InputError, match="was not accepted: undecided by gate"):
        approve(engine, files, early, **BOB)


def test_approved_twice_there_is_one_row(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    digest = judged(engine, files, candidate)
    assert approve(engine, files, digest, **ADA) == approve(engine, files, digest, **BOB)
    assert len(history(engine)) == 1


def test_nobody_can_approve_what_was_never_judged(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    with pytest.raises(InputError, match="was never judged"):
        approve(engine, files, staged.candidate, **ADA)
    with pytest.raises(InputError, match="was never judged"):
        approve(engine, files, staged.candidate, **ADA, override=True)


@pytest.mark.parametrize("verdict", ["rejected", "undecided"])
def test_what_was_not_accepted_needs_somebody_who_overrides_the_gate_and_says_so_for_ever(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, verdict: str
) -> None:
    digest = judged(engine, files, candidate, verdict)
    with pytest.raises(InputError, match=rf"was not accepted: {verdict} by gate \(0.80; allowed: at least 0.60 \(auc\)\)"):
        approve(engine, files, digest, **ADA)
    assert newest(engine) is None
    row = approve(engine, files, digest, **ADA, override=True)
    assert row.kind == "overridden"
    blessing = manifest_of(files, row.champion).blessing
    assert (blessing.verdict, blessing.actor, blessing.reason) == ("overridden", "ada", "she looked at it")
    assert blessing.rules == (Rule("auc", False, "0.80", "at least 0.60"),)
    assert newest_blessing(engine, digest) == blessing


def test_a_candidate_that_was_compared_with_a_former_champion_is_fenced(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    digest = judged(engine, files, candidate)
    release(engine, files, other_candidate)
    assert waiting(engine, files) == []
    assert states(engine, files)[digest] == "blessed"
    with pytest.raises(FencedError, match=r"compared with no champion, but champion .* serves now \(epoch 1\)"):
        approve(engine, files, digest, **ADA)
    assert approve(engine, files, digest, **ADA, override=True).kind == "overridden"
    assert states(engine, files)[digest] == "champion"


def test_a_row_that_changed_no_champion_fences_nobody(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    one, other = judged(engine, files, other_candidate), judged(engine, files, other_candidate, second=1)
    challenge(engine, files, one, share=0.1, **ADA)
    end_challenge(engine, files, **ADA)
    assert approve(engine, files, other, **ADA).epoch == 4


@pytest.mark.parametrize(
    ("by", "reason", "said"),
    [(" ", "r", "no name"), ("ada", "\n", "no reason"), ("a" * 201, "r", "201"), ("a\x1bb", "r", "U\\+001B")],
)
def test_no_decision_without_a_name_and_a_reason(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, by: str, reason: str, said: str
) -> None:
    digest = judged(engine, files, candidate, "rejected")
    who: dict[str, Any] = {"by": by, "reason": reason, "now_s": NOW_S}
    for asked in (
        lambda: approve(engine, files, digest, **who, override=True),
        lambda: challenge(engine, files, digest, share=0.1, **who, override=True),
        lambda: roll_back(engine, files, **who),
        lambda: end_challenge(engine, files, **who),
    ):
        with pytest.raises(InputError, match=said):
            asked()
    assert newest_blessing(engine, digest).verdict == "rejected"


def test_a_rollback_puts_the_former_champion_back_within_two_seconds(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    former = release(engine, files, candidate)
    release(engine, files, other_candidate)
    begun = time.monotonic()
    row = roll_back(engine, files, **BOB)
    assert time.monotonic() - begun < 2
    assert (row.epoch, row.kind, row.champion, row.actor) == (3, "rolled_back", former.champion, "bob")
    assert newest(engine) == row


def test_a_second_rollback_does_not_bring_back_what_was_just_taken_away(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    bad = release(engine, files, other_candidate)
    row = roll_back(engine, files, **BOB)
    assert roll_back(engine, files, **BOB) == row
    with pytest.raises(InputError, match=r"epoch 3 is itself a rollback \(by bob: too many offers\)"):
        roll_back(engine, files, **ADA)
    assert roll_back(engine, files, **ADA, to=2).champion == bad.champion
    assert [one.epoch for one in history(engine)] == [4, 3, 2, 1]


def test_a_rollback_to_an_epoch_skips_those_between(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    rows = [release(engine, files, one) for one in (candidate, other_candidate, train(seed=9))]
    assert roll_back(engine, files, **BOB, to=1).champion == rows[0].champion


@pytest.mark.parametrize(
    ("to", "said"), [(7, "there is no epoch 7; expected one of 1 to 2"), (2, "is the one that serves")]
)
def test_a_rollback_to_nowhere_is_refused(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate, to: int, said: str
) -> None:
    with pytest.raises(InputError, match="nothing was released yet"):
        roll_back(engine, files, **BOB)
    release(engine, files, candidate)
    with pytest.raises(InputError, match="is the only one that ever served"):
        roll_back(engine, files, **BOB)
    release(engine, files, other_candidate)
    with pytest.raises(InputError, match=said):
        roll_back(engine, files, **BOB, to=to)


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "reference.parquet"])
def test_a_former_champion_whose_files_were_changed_is_not_put_back(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate, name: str
) -> None:
    former = release(engine, files, candidate)
    serves = release(engine, files, other_candidate)
    damage(files, manifest_of(files, former.champion).files[name].sha256)
    with pytest.raises(
        ReleaseError, match=r"epoch 1 can't serve again: .* was changed.*no other .* bring the release files back"
    ):
        roll_back(engine, files, **BOB)
    assert newest(engine) == serves


def test_where_a_former_champion_is_damaged_the_epochs_are_named_that_can_be_gone_back_to(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    others = [publish_again(engine, files, candidate, second=second) for second in range(6)]
    serves = release(engine, files, other_candidate)
    for gone in (others[-1], others[-2]):
        damage(files, gone.champion)
    for to in (None, 6):
        with pytest.raises(ReleaseError, match=r"the champion of epoch 6 can't serve again") as refused:
            roll_back(engine, files, **BOB, to=to)
        assert str(refused.value).endswith("these epochs can be gone back to: --to 4, --to 3, --to 2")
    assert newest(engine) == serves
    assert roll_back(engine, files, **BOB, to=4).champion == others[3].champion


def publish_again(engine: sa.Engine, files: DigestStore, candidate: Candidate, *, second: int) -> Serving:
    digest = judged(engine, files, candidate, second=second)
    return approve(engine, files, digest, **ADA)


def damage(files: DigestStore, digest: str) -> None:
    path = Path(files.url) / "sha256" / digest[:2] / digest
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


SAME: dict[str, Any] = {"read_epoch": 3}


@pytest.mark.parametrize(
    "asked",
    [
        {**SAME, **BOB, "to": 2},
        {**SAME, **ADA, "to": 1},
        {**SAME, **BOB, "reason": "another one", "to": 1},
        {**SAME, **BOB},
        {"read_epoch": 2, **BOB, "to": 1},
    ],
    ids=["another epoch", "another person", "another reason", "the default", "another read"],
)
def test_only_the_very_same_rollback_is_answered_with_the_row_that_is_there(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate, asked: dict[str, Any]
) -> None:
    for one in (candidate, other_candidate, train(seed=9)):
        release(engine, files, one)
    row = roll_back(engine, files, **BOB, **SAME, to=1)
    assert roll_back(engine, files, **BOB, **SAME, to=1) == row
    with pytest.raises(FencedError, match=r"epoch 4 \(rolled_back by bob: too many offers\) is the newest"):
        roll_back(engine, files, **asked)
    assert newest(engine) == row


def test_a_challenger_answers_a_share_until_it_is_ended_or_approved(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    first = release(engine, files, candidate)
    digest = judged(engine, files, other_candidate)
    row = challenge(engine, files, digest, share=0.2, **ADA)
    assert (row.champion, row.challenger_share, row.kind) == (first.champion, 0.2, "challenged")
    assert row.challenger is not None
    assert manifest_of(files, row.challenger).candidate == digest
    assert states(engine, files)[digest] == "challenger"
    assert challenge(engine, files, digest, share=0.2, **BOB) == row
    assert challenge(engine, files, digest, share=0.4, **BOB).epoch == 3

    ended = end_challenge(engine, files, **BOB)
    assert (ended.champion, ended.challenger, ended.challenger_share) == (first.champion, None, 0.0)
    assert states(engine, files)[digest] == "retired"
    with pytest.raises(InputError, match="there is no challenger"):
        end_challenge(engine, files, **BOB)

    again = challenge(engine, files, digest, share=0.5, **ADA)
    won = approve(engine, files, digest, **ADA)
    assert (won.champion, won.challenger, won.kind) == (again.challenger, None, "approved")
    assert states(engine, files)[digest] == "champion"


def test_a_new_champion_and_a_rollback_end_a_challenge(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    first = release(engine, files, candidate)
    for seconds in range(2):
        digest = judged(engine, files, other_candidate, second=seconds)
        challenge(engine, files, digest, share=0.2, **ADA)
        if seconds == 0:
            assert release(engine, files, train(seed=9)).challenger is None
    row = roll_back(engine, files, **BOB)
    assert (row.champion, row.challenger) == (first.champion, None)


@pytest.mark.parametrize("share", [-0.1, 0.51, float("nan"), float("inf")])
def test_a_share_is_not_below_nothing_and_at_most_a_half(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate, share: float
) -> None:
    release(engine, files, candidate)
    with pytest.raises(InputError, match=r"expected more than 0 and at most 0\.5"):
        challenge(engine, files, judged(engine, files, other_candidate), share=share, **ADA)


def test_a_champion_is_not_challenged_by_its_own_model_whatever_else_its_manifest_says(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    row = approve(engine, files, judged(engine, files, candidate), **ADA)
    again = judged(engine, files, candidate, second=1)
    assert manifest_of(files, row.champion).candidate != again
    with pytest.raises(InputError, match=r"has the same model\.onnx as the champion \(epoch 1\)"):
        challenge(engine, files, again, share=0.1, **BOB, override=True)
    assert newest(engine) == row
    assert newest_blessing(engine, again).verdict == "accepted"


def test_a_challenger_has_the_champions_signature(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    release(engine, files, candidate)
    first, *rest = small_columns()
    other = judged(engine, files, train([msgspec.structs.replace(first, high=2_000), *rest], seed=3))
    with pytest.raises(ReleaseError, match=r"takes other columns than the champion \(sessions_30d\)"):
        challenge(engine, files, other, share=0.1, **ADA)
    assert newest(engine).epoch == 1
    assert approve(engine, files, other, **ADA).epoch == 2


def test_a_challenger_has_the_champions_horizon_and_is_refused_before_a_verdict_is_overridden(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    release(engine, files, candidate)
    other = judged(engine, files, train(seed=5, horizon_days=60), "rejected")
    with pytest.raises(ReleaseError, match="the challenger's horizon is 60 days, the champion's 30 days"):
        challenge(engine, files, other, share=0.1, **ADA, override=True)
    assert newest(engine).epoch == 1
    assert newest_blessing(engine, other).verdict == "rejected"


@pytest.mark.parametrize("name", ["model.onnx", "golden.json"])
def test_nobody_is_let_beside_a_champion_whose_files_were_changed(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate, name: str
) -> None:
    serves = release(engine, files, candidate)
    digest = judged(engine, files, other_candidate)
    damage(files, manifest_of(files, serves.champion).files[name].sha256)
    with pytest.raises(ReleaseError, match="was changed"):
        challenge(engine, files, digest, share=0.1, **ADA)
    assert newest(engine) == serves


def test_the_champion_does_not_challenge_itself_and_nobody_challenges_nobody(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    digest = judged(engine, files, candidate)
    with pytest.raises(InputError, match="there is no champion to challenge yet"):
        challenge(engine, files, digest, share=0.1, **ADA)
    approve(engine, files, digest, **ADA)
    with pytest.raises(InputError, match=r"is the champion already \(epoch 1\)"):
        challenge(engine, files, digest, share=0.1, **ADA)


def test_a_candidate_goes_through_its_life(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    one = judged(engine, files, candidate, "undecided")
    assert states(engine, files)[one] == "candidate"
    bless(engine, load_candidate(files, one), "accepted")
    assert states(engine, files)[one] == "waiting"
    approve(engine, files, one, **ADA)
    rejected, other = judged(engine, files, other_candidate, "rejected", second=1), judged(engine, files, other_candidate)
    assert states(engine, files) == {other: "waiting", rejected: "rejected", one: "champion"}
    challenge(engine, files, other, share=0.3, **ADA)
    approve(engine, files, other, **ADA)
    assert states(engine, files) == {other: "champion", rejected: "rejected", one: "retired"}


def load_candidate(files: DigestStore, digest: str) -> Manifest:
    return msgspec.json.decode(files.get(digest, at_most=2**20), type=Manifest)


def test_an_override_that_was_recorded_and_never_released_is_not_there_to_be_approved(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    digest = judged(engine, files, candidate, "overridden")
    assert states(engine, files) == {digest: "blessed"}
    assert waiting(engine, files) == []
    with pytest.raises(InputError, match="was not accepted: overridden by gate"):
        approve(engine, files, digest, **ADA)


def test_an_override_that_was_rolled_back_is_put_back_by_its_epoch(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, other_candidate)
    digest = judged(engine, files, candidate, "rejected")
    row = approve(engine, files, digest, **ADA, override=True)
    roll_back(engine, files, **BOB)
    with pytest.raises(InputError, match=rf"overridden by ada .* put it back with `churn rollback --to {row.epoch}`"):
        approve(engine, files, digest, **ADA)
    assert roll_back(engine, files, **BOB, to=row.epoch).champion == row.champion


def test_a_verdict_is_read_back_whole(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    plain = bless(engine, staged)
    rules = (Rule("profit", False, "+0.1, allowed nothing", "more: found", undecided=True), Rule("auc", True, "0.8", "0.6"))
    blessing = msgspec.structs.replace(
        plain, verdict="undecided", rules=rules, epoch=4, gain=-0.5, reason="because", decided_s=9
    )
    record_blessing(engine, blessing)
    assert newest_blessing(engine, staged.candidate) == blessing
    assert newest_blessing(engine, "0" * 64) is None


def test_a_row_of_the_history_that_was_kept_before_rows_had_a_kind_is_read() -> None:
    kept = '{"epoch":1,"champion":"c","challenger":null,"challenger_share":0.0,"actor":"a","reason":"r","published_s":3}'
    expected = Serving(1, "c", None, 0.0, "a", "r", 3)
    assert msgspec.json.decode(kept, type=Serving) == expected


def test_a_person_rejects_a_waiting_candidate_and_it_waits_no_more(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    digest = judged(engine, files, other_candidate)
    verdict = reject(engine, files, digest, **ADA)
    assert (verdict.verdict, verdict.actor, verdict.reason, verdict.gain) == ("rejected", "ada", "she looked at it", 0.25)
    assert newest_blessing(engine, digest) == verdict
    assert reject(engine, files, digest, **ADA) == verdict
    assert states(engine, files)[digest] == "rejected"
    assert waiting(engine, files) == []
    with pytest.raises(InputError, match=r"rejected by ada \(she looked at it\)"):
        approve(engine, files, digest, **BOB)
    assert reject(engine, files, digest, **BOB).actor == "bob"
    assert len(history(engine)) == 1


def test_what_serves_and_what_was_never_judged_can_not_be_rejected(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    digest = judged(engine, files, candidate)
    approve(engine, files, digest, **ADA)
    with pytest.raises(InputError, match="serves as champion; roll it back first"):
        reject(engine, files, digest, **BOB)
    with pytest.raises(InputError, match="was never judged"):
        reject(engine, files, "0" * 64, **BOB)
    assert newest_blessing(engine, digest).verdict == "accepted"


def test_a_decision_with_another_row_in_view_is_fenced(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    digest = judged(engine, files, other_candidate)
    for decide in (approve, partial(challenge, share=0.1)):
        with pytest.raises(FencedError, match=r"epoch 1 \(released by test: test\) is the newest, not epoch 4"):
            decide(engine, files, digest, read_epoch=4, **ADA)
    with pytest.raises(FencedError, match="not epoch 4"):
        end_challenge(engine, files, read_epoch=4, **ADA)
    assert approve(engine, files, digest, read_epoch=1, **ADA).epoch == 2
