"""`churn releases`, `churn approve`, `churn rollback`, `churn challenger end`: what a person types and reads."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_store.cli.releases import approve, challenger, reject, releases, rollback
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import FencedError, InputError
from churn_store.releases.bundles import stage
from churn_store.releases.log import newest
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S, Candidate, bless, release

pytestmark = pytest.mark.integration

CHURN = Path(sys.executable).with_name("churn")
WHO = ("--by", "ada", "--reason", "she looked at it")


@dataclass
class Home:
    """A company's folder, and a person at its command line."""

    engine: sa.Engine
    files: DigestStore

    def says(self, command: click.Command, *typed: str) -> str:
        """What a command prints."""
        result = CliRunner().invoke(command, typed, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def judged(self, candidate: Candidate, verdict: str = "accepted", gain: float | None = None) -> str:
        """A candidate that was compared with who serves now; its digest."""
        staged = stage(self.files, candidate.contents, candidate.manifest)
        row = newest(self.engine)
        bless(self.engine, staged, verdict, epoch=0 if row is None else row.epoch, gain=gain)
        return staged.candidate


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    (tmp_path / "churn.yaml").write_text("home: .\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    settings = ConfigFile.load()
    settings.clock.fix(datetime.fromtimestamp(NOW_S, UTC))
    migrate(settings.database_url)
    engine = connect(settings.database_url)
    yield Home(engine, DigestStore(settings.releases_url))
    engine.dispose()


def test_before_anything_happened_the_history_is_empty(home: Home) -> None:
    assert home.says(releases) == ""
    assert home.says(releases, "--waiting") == "no candidate waits for approval\n"


def test_a_waiting_candidate_is_listed_with_the_command_that_lets_it_serve(home: Home, candidate: Candidate) -> None:
    digest = home.judged(candidate, gain=0.25)
    shown = home.says(releases, "--waiting")
    assert shown == (
        f"waiting  {digest[:12]}  2026-02-02 00:00  gain +0.2500 a customer  accepted by gate\n"
        f"  churn approve {digest[:12]} --by NAME --reason TEXT\n"
    )
    assert home.says(approve, digest[:6], *WHO).startswith("epoch 1: ")
    assert newest(home.engine).actor == "ada"
    assert home.says(releases, "--waiting") == "no candidate waits for approval\n"


def test_the_history_says_who_why_when_from_to_and_what_it_gained(
    home: Home, candidate: Candidate, other_candidate: Candidate
) -> None:
    first = release(home.engine, home.files, candidate, reason="the first")
    home.says(approve, home.judged(other_candidate, gain=0.5), *WHO)
    second = newest(home.engine)
    home.says(rollback, "--by", "bob", "--reason", "too many offers")
    old, new = first.champion[:12], second.champion[:12]
    assert home.says(releases).splitlines() == [
        f"epoch 3  2026-02-02 00:00  rolled_back  {new} -> {old}  by bob: too many offers  serves",
        f"epoch 2  2026-02-02 00:00  approved  {old} -> {new}  gain +0.5000 a customer  by ada: she looked at it",
        f"epoch 1  2026-02-02 00:00  released  none -> {old}  by test: the first",
    ]
    told = [json.loads(line) for line in home.says(releases, "--json").splitlines()]
    assert [(row["epoch"], row["from"], row["to"], row["kind"], row["gain"], row["serves"]) for row in told] == [
        (3, second.champion, first.champion, "rolled_back", None, True),
        (2, first.champion, second.champion, "approved", 0.5, False),
        (1, None, first.champion, "released", None, False),
    ]


def test_a_rejected_candidate_is_listed_with_why_and_only_overridden_by_name(home: Home, candidate: Candidate) -> None:
    digest = home.judged(candidate, "rejected")
    assert home.says(releases) == f"rejected  {digest[:12]}  2026-02-02 00:00  rejected by gate\n  auc: 0.80\n"
    with pytest.raises(InputError, match="release it against the gate in your own name with --override"):
        home.says(approve, digest, *WHO)
    assert "(overridden by ada: she looked at it)" in home.says(approve, digest, *WHO, "--override")


def test_a_person_rejects_a_waiting_candidate(home: Home, candidate: Candidate) -> None:
    digest = home.judged(candidate)
    assert home.says(reject, digest[:6], *WHO) == f"{digest[:12]} is rejected by ada: she looked at it\n"
    assert home.says(releases, "--waiting") == "no candidate waits for approval\n"
    assert home.says(releases) == f"rejected  {digest[:12]}  2026-02-02 00:00  rejected by ada: she looked at it\n"


def test_an_overtaken_candidate_is_listed_with_what_to_do(
    home: Home, candidate: Candidate, other_candidate: Candidate
) -> None:
    digest = home.judged(candidate)
    release(home.engine, home.files, other_candidate)
    assert f"blessed  {digest[:12]}" in home.says(releases)
    assert "compared with no champion; another one serves now, so judge it anew" in home.says(releases)
    with pytest.raises(FencedError, match="judge it anew"):
        home.says(approve, digest, *WHO)


def test_a_challenger_is_begun_shown_and_ended(home: Home, candidate: Candidate, other_candidate: Candidate) -> None:
    release(home.engine, home.files, candidate)
    said = home.says(approve, home.judged(other_candidate), *WHO, "--challenger", "0.2")
    short = newest(home.engine).challenger[:12]
    assert f"{short} answers 20% beside it" in said
    assert f"challenger {short} at 20%" in home.says(releases)
    assert "challenge_ended by ada" in home.says(challenger, "end", *WHO)
    assert newest(home.engine).challenger is None


@pytest.mark.parametrize("typed", ["abc", "ffffffff", "nobody/1"])
def test_a_name_of_no_model_is_refused_with_what_names_one(home: Home, candidate: Candidate, typed: str) -> None:
    home.judged(candidate)
    with pytest.raises(InputError, match="`churn releases`"):
        home.says(approve, typed, *WHO)


def test_a_digit_too_many_is_no_traceback(home: Home, candidate: Candidate) -> None:
    home.judged(candidate)
    with pytest.raises(InputError, match=r"\(5000 letters\) names no model"):
        home.says(approve, "1" * 5_000, *WHO)


def test_a_name_of_bytes_that_are_no_text_is_one_line_of_a_process(
    home: Home, candidate: Candidate, other_candidate: Candidate
) -> None:
    for one in (candidate, other_candidate):
        release(home.engine, home.files, one)
    ended = subprocess.run([CHURN, "rollback", "--by", b"\xff", "--reason", "why"], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"churn: the name holds U+DCFF")
    assert len(ended.stderr.splitlines()) == 1
    assert newest(home.engine).epoch == 2


def test_the_commands_of_releases_load_no_frames_no_migrations_and_nothing_of_the_graph() -> None:
    """A rollback is wanted at once, on a machine that may be busy: most of its time is what it imports."""
    asked = "import sys, churn_store.cli.main, churn_store.cli.releases; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True).stdout.split()
    assert not {"polars", "pyarrow", "alembic", "mlflow", "dagster", "pandas", "churn_assets"} & {*loaded}


@pytest.mark.parametrize("missing", ["--by", "--reason"])
def test_nobody_decides_without_a_name_and_a_reason(home: Home, missing: str) -> None:
    typed = [word for word in (*WHO,) if word != missing]
    result = CliRunner().invoke(rollback, typed)
    assert result.exit_code == 2
    assert missing in result.output
