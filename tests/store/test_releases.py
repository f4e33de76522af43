"""Releases: only what is blessed and whole can be published and loaded, and of two writers one wins."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import sqlalchemy as sa

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import FencedError, ReleaseError
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import load_bundle, load_file, stage
from churn_store.releases.log import Serving, history, newest, publish
from churn_store.releases.manifest import FileEntry, Golden, Rule, decode_golden, encode
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S, Candidate, bless, expected_probability, release, rows_of, train


def publish_staged(engine: sa.Engine, files: DigestStore, candidate: Candidate, **changed: object) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    wanted: dict[str, Any] = {
        "read_epoch": 0,
        "actor": "test",
        "reason": "test",
        "now_s": NOW_S,
        "blessing": bless(engine, staged),
        **changed,
    }
    publish(engine, files, staged, wanted.pop("blessing"), **wanted)


def stored_file(files: DigestStore, digest: str) -> Path:
    return Path(files.url) / "sha256" / digest[:2] / digest


def test_a_published_release_loads_and_scores_as_the_trained_pipeline(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    row = release(engine, files, candidate)
    bundle = load_bundle(files, newest(engine).champion)
    assert (row.epoch, bundle.digest) == (1, row.champion)
    asked = rows_of(candidate.manifest.signature.columns, 20, seed=99)
    expected = [expected_probability(candidate, one) for one in asked]
    assert np.abs(bundle.scorer.score_rows(asked) - expected).max() < 1e-6
    assert [bundle.scorer.score_row(one) for one in asked] == [bundle.scorer.score_rows([one])[0] for one in asked]


def test_history_is_newest_first_and_names_who_and_why(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate, reason="first")
    release(engine, files, other_candidate, reason="better")
    assert [(row.epoch, row.reason, row.actor) for row in history(engine)] == [(2, "better", "test"), (1, "first", "test")]


def test_a_candidate_without_a_recorded_verdict_is_refused(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, tmp_path: Path
) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    migrate(elsewhere)
    never_recorded_here = bless(connect(elsewhere), staged)
    with pytest.raises(ReleaseError, match=r"newest recorded verdict .* is none"):
        publish(engine, files, staged, never_recorded_here, read_epoch=0, actor="t", reason="t", now_s=NOW_S)
    assert newest(engine) is None


def test_a_rejected_candidate_is_refused(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    rejected = bless(engine, staged, "rejected")
    with pytest.raises(ReleaseError, match="rejected"):
        publish(engine, files, staged, rejected, read_epoch=0, actor="t", reason="t", now_s=NOW_S)


def test_a_candidate_that_was_rejected_after_its_blessing_is_refused(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    blessing = bless(engine, staged)
    bless(engine, staged, "rejected")
    with pytest.raises(ReleaseError, match="rejected"):
        publish(engine, files, staged, blessing, read_epoch=0, actor="t", reason="t", now_s=NOW_S)


def test_the_blessing_of_another_candidate_is_refused(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    foreign = bless(engine, stage(files, other_candidate.contents, other_candidate.manifest))
    with pytest.raises(ReleaseError, match="the blessing is for candidate"):
        publish_staged(engine, files, candidate, blessing=foreign)


def test_an_overridden_candidate_is_published_and_says_so(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    row = publish(
        engine,
        files,
        staged,
        bless(engine, staged, "overridden"),
        read_epoch=0,
        actor="ada",
        reason="we need it",
        now_s=NOW_S,
    )
    assert load_bundle(files, row.champion).manifest.blessing.verdict == "overridden"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rules": ()}, "verdict 'accepted' by no rule"),
        ({"rules": (Rule("auc", True, "1", "1"), Rule("leak", False, "1", "0"))}, "'accepted' although leak failed"),
        ({"verdict": "overridden", "actor": " "}, "verdict 'overridden' by nobody"),
    ],
)
def test_a_verdict_that_contradicts_itself_releases_nothing_and_is_never_served(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, changed: dict[str, object], said: str
) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    blessing = msgspec.structs.replace(bless(engine, staged), **changed)
    record_blessing(engine, blessing)
    with pytest.raises(ReleaseError, match=said):
        publish_staged(engine, files, candidate, blessing=blessing)
    assert newest(engine) is None
    with pytest.raises(ReleaseError, match=said):
        load_bundle(files, files.put(encode(msgspec.structs.replace(staged, blessing=blessing))))


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "reference.parquet"])
def test_a_file_of_another_size_than_the_manifest_says_is_refused(
    files: DigestStore, candidate: Candidate, name: str
) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    size = staged.files[name].size
    lying = {**staged.files, name: FileEntry(sha256=staged.files[name].sha256, size=size + 1)}
    with pytest.raises(ReleaseError, match=f"{name} has {size} bytes, its manifest says {size + 1}"):
        load_file(files, msgspec.structs.replace(staged, files=lying), name)


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "reference.parquet"])
def test_one_flipped_bit_in_any_file_is_noticed(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, name: str
) -> None:
    row = release(engine, files, candidate)
    entry = load_bundle(files, row.champion).manifest.files[name]
    path = stored_file(files, entry.sha256)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match="was changed"):
        load_bundle(files, row.champion)


def test_a_changed_manifest_is_noticed_before_it_is_parsed(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    row = release(engine, files, candidate)
    stored_file(files, row.champion).write_bytes(b"[" * 100_000)
    with pytest.raises(ReleaseError, match="was changed"):
        load_bundle(files, row.champion)


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "reference.parquet"])
def test_a_missing_file_is_named(engine: sa.Engine, files: DigestStore, candidate: Candidate, name: str) -> None:
    row = release(engine, files, candidate)
    entry = load_bundle(files, row.champion).manifest.files[name]
    stored_file(files, entry.sha256).unlink()
    with pytest.raises(ReleaseError, match=f"file {entry.sha256[:12]} is missing"):
        load_bundle(files, row.champion)


def test_a_release_whose_golden_rows_do_not_repeat_is_never_published(engine: sa.Engine, files: DigestStore) -> None:
    with pytest.raises(ReleaseError, match="other probabilities than the trained pipeline"):
        release(engine, files, train(golden_shift=1e-4))
    assert newest(engine) is None


def golden_without_a_column(content: bytes) -> bytes:
    golden = decode_golden(content)
    return encode(Golden(rows=[{} for _ in golden.rows], probabilities=golden.probabilities))


def too_few_golden_rows(content: bytes) -> bytes:
    golden = decode_golden(content)
    return encode(Golden(rows=golden.rows[:199], probabilities=golden.probabilities[:199]))


BROKEN = [
    ("model.onnx", lambda _: b"not a model", "model.onnx can't be loaded"),
    ("golden.json", golden_without_a_column, "rows can't be scored"),
    ("golden.json", too_few_golden_rows, "golden.json has 199 rows"),
    ("golden.json", lambda _: b'{"rows": [\xff]}', "golden.json"),
    ("golden.json", lambda _: b'{"rows": ' + b"[" * 100_000, "golden.json"),
]


@pytest.mark.parametrize(("name", "broken", "said"), BROKEN)
def test_a_release_with_a_broken_file_is_refused_with_its_name(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, name: str, broken: Callable[[bytes], bytes], said: str
) -> None:
    contents = {**candidate.contents, name: broken(candidate.contents[name])}
    with pytest.raises(ReleaseError, match=said):
        release(engine, files, Candidate(candidate.manifest, contents, candidate.pipeline))


def test_no_feature_value_of_a_golden_row_is_in_an_error(
    files: DigestStore, engine: sa.Engine, candidate: Candidate
) -> None:
    golden = decode_golden(candidate.contents["golden.json"])
    rows = [{**row, "sessions_30d": "a customer's secret"} for row in golden.rows]
    contents = {**candidate.contents, "golden.json": encode(Golden(rows=rows, probabilities=golden.probabilities))}
    with pytest.raises(ReleaseError) as refused:
        release(engine, files, Candidate(candidate.manifest, contents, candidate.pipeline))
    assert "secret" not in str(refused.value)


def test_a_model_with_another_output_is_refused(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    model = onnx.load_from_string(candidate.contents["model.onnx"])
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "probabilities" else name for name in node.output]
    next(output for output in model.graph.output if output.name == "probabilities").name = "scores"
    contents = {**candidate.contents, "model.onnx": model.SerializeToString()}
    with pytest.raises(ReleaseError, match="expected an output named 'probabilities'"):
        release(engine, files, Candidate(candidate.manifest, contents, candidate.pipeline))


def test_a_bound_given_as_a_whole_number_does_not_change_the_digest_that_was_judged(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    column = msgspec.structs.replace(candidate.manifest.signature.columns[0], low=0)
    columns = (column, *candidate.manifest.signature.columns[1:])
    manifest = msgspec.structs.replace(candidate.manifest, signature=type(candidate.manifest.signature)(columns))
    assert release(engine, files, Candidate(manifest, candidate.contents, candidate.pipeline)).epoch == 1


def test_an_older_writer_is_fenced(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, other_candidate: Candidate
) -> None:
    release(engine, files, candidate)
    with pytest.raises(FencedError, match=r"epoch 1 \(released by test: test\) was published since epoch 0 was read"):
        publish_staged(engine, files, other_candidate, read_epoch=0)
    assert newest(engine).epoch == 1


def test_of_two_writers_at_once_exactly_one_wins(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    blessing = bless(engine, staged)
    for round_ in range(5):
        outcomes: list[str] = []
        together = threading.Barrier(4)

        def write(
            name: int, *, read: int = round_, together: threading.Barrier = together, outcomes: list[Any] = outcomes
        ) -> None:
            together.wait()
            try:
                ours = msgspec.structs.replace(blessing, actor=f"gate {name}")  # another release a writer
                publish(engine, files, staged, ours, read_epoch=read, actor=str(name), reason="race", now_s=NOW_S)
                outcomes.append("won")
            except FencedError:
                outcomes.append("fenced")

        writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(outcomes) == ["fenced", "fenced", "fenced", "won"]
    assert [row.epoch for row in history(engine)] == [5, 4, 3, 2, 1]


def test_of_writers_of_one_release_all_get_the_one_row(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    staged = stage(files, candidate.contents, candidate.manifest)
    blessing = bless(engine, staged)
    together = threading.Barrier(4)

    def write(name: int) -> Serving:
        together.wait()
        return publish(engine, files, staged, blessing, read_epoch=0, actor=str(name), reason="again", now_s=NOW_S)

    with ThreadPoolExecutor(4) as writers:
        rows = list(writers.map(write, range(4)))
    assert history(engine) == [rows[0]]
    assert rows == [rows[0]] * 4
