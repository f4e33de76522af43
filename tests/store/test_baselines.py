"""Pinned baselines: whose reference counts, who may be pinned, and what is kept of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_store.cli.baselines import baseline
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import FencedError, InputError, ReleaseError
from churn_store.model.signature import Column
from churn_store.monitoring.baselines import Baseline, baseline_now, baseline_of, pin, pins, reference_of, unpin
from churn_store.releases.bundles import load_manifest
from churn_store.releases.rollback import roll_back
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S, Candidate, release, small_columns, train

WHY: dict[str, Any] = {"by": "ada", "reason": "the season", "now_s": NOW_S}


@pytest.fixture
def two(engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate) -> tuple[str, str]:
    """Two releases, the newer one second."""
    return release(engine, files, candidate).champion, release(engine, files, other_candidate).champion


def test_a_release_is_compared_with_its_own_reference_until_a_person_pins_another(
    engine: sa.Engine, files: DigestStore, two: tuple[str, str]
) -> None:
    former, serving = two
    assert baseline_now(engine) == Baseline(serving, serving)
    pinned = pin(engine, files, "1", **WHY)
    assert pinned == baseline_now(engine) == Baseline(serving, former, "ada", "the season", NOW_S)
    assert reference_of(files, pinned) == reference_of(files, Baseline(former, former))
    assert pin(engine, files, former, **{**WHY, "now_s": NOW_S + 9}) == pinned
    assert pins(engine, limit=9) == [pinned]
    assert unpin(engine, files, by="bob", reason="it is over", now_s=NOW_S + 9).is_own
    assert [one.actor for one in pins(engine, limit=9)] == ["bob", "ada"]
    with pytest.raises(InputError, match="its own reference counts already"):
        unpin(engine, files, **WHY)


def test_a_pin_ends_with_its_release_and_is_there_again_when_that_is_put_back(
    engine: sa.Engine, files: DigestStore, two: tuple[str, str]
) -> None:
    former, _ = two
    pin(engine, files, former, **WHY)
    newest = release(engine, files, train(seed=9)).champion
    assert baseline_now(engine) == Baseline(newest, newest)
    roll_back(engine, files, by="ada", reason="worse", now_s=NOW_S)
    assert baseline_now(engine).baseline == former
    assert baseline_of(engine, newest).is_own


def test_nothing_is_pinned_before_the_first_release(engine: sa.Engine, files: DigestStore) -> None:
    assert baseline_now(engine) is None
    with pytest.raises(InputError, match="no release serves yet"):
        pin(engine, files, "1", **WHY)


def test_what_is_unknown_or_can_not_be_compared_is_refused_and_nothing_is_recorded(
    engine: sa.Engine, files: DigestStore, two: tuple[str, str]
) -> None:
    former, _ = two
    with pytest.raises(InputError, match="names no model"):
        pin(engine, files, "77", **WHY)
    with pytest.raises(InputError, match="is a candidate that never served"):
        pin(engine, files, load_manifest(files, former).candidate, **WHY)
    with pytest.raises(FencedError, match="not epoch 1"):
        pin(engine, files, former, **WHY, read_epoch=1)
    with pytest.raises(InputError, match="no reason was given"):
        pin(engine, files, former, by="ada", reason=" ", now_s=NOW_S)
    release(engine, files, train([*small_columns(), Column(name="shops", kind="number", low=0)]))
    with pytest.raises(InputError, match="has no shops of the same kind"):
        pin(engine, files, former, **WHY)
    assert pins(engine, limit=9) == []


def test_a_reference_that_is_gone_is_not_pinned_and_says_how_to_go_back_where_it_was(
    engine: sa.Engine, files: DigestStore, two: tuple[str, str], tmp_path: Path
) -> None:
    former, serving = two
    pinned = pin(engine, files, former, **WHY)
    missing = load_manifest(files, former).files["reference.parquet"].sha256
    for file in tmp_path.rglob(f"*{missing}*"):
        file.unlink()
    with pytest.raises(ReleaseError, match=f"or churn baseline pin {serving[:12]} --by NAME"):
        reference_of(files, pinned)
    with pytest.raises(ReleaseError):
        pin(engine, files, former, by="eve", reason="again", now_s=NOW_S)


def test_the_commands_show_pin_and_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, candidate: Candidate, other_candidate: Candidate
) -> None:
    (tmp_path / "churn.yaml").write_text("home: .\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    settings = ConfigFile.load()
    settings.clock.fix(datetime.fromtimestamp(NOW_S, UTC))
    migrate(settings.database_url)
    engine, files = connect(settings.database_url), DigestStore(settings.releases_url)
    former, serving = (release(engine, files, one).champion for one in (candidate, other_candidate))

    def says(*typed: str) -> str:
        result = CliRunner().invoke(baseline, typed, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert says("history") == "nothing was pinned: each release was compared with its own reference\n"
    assert says("show") == f"release {serving[:12]} is compared with its own reference\n"
    line = (
        f"release {serving[:12]} is compared with the reference of {former[:12]} (since 2026-02-02 00:00, by ada: season)\n"
    )
    assert says("pin", "1", "--by", "ada", "--reason", "season") == line
    assert (says("show"), says("history")) == (line, line)
    assert f'"baseline":"{former}"' in says("history", "--json")
    assert says("pin", serving[:6], "--by", "ada", "--reason", "over").startswith(
        f"release {serving[:12]} is compared with its own"
    )
