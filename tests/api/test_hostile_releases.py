"""A row of ``releases`` may name anything: the service keeps what it has, says why, and looks at the bad release once."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import helper

from churn_api.releases import poller
from churn_store.releases.bundles import load_bundle, stage
from churn_store.releases.manifest import Blessing, Rule, encode
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, Candidate
from tests.store.trees import SIGNATURE, chain, golden, model


def by_hand(installation: Installation, candidate: Candidate, **contents: bytes) -> str:
    """A blessed release with some of its files replaced, put into the store without the checks of publishing."""
    replaced = {f"{name}.onnx": content for name, content in contents.items()}
    staged = stage(installation.files, {**candidate.contents, **replaced}, candidate.manifest)
    blessing = Blessing(staged.candidate, "accepted", (Rule("auc", True, "0.8", "0.6"),), "gate", NOW_S)
    return installation.files.put(encode(msgspec.structs.replace(staged, blessing=blessing)))


def with_a_foreign_operator(content: bytes) -> bytes:
    model = onnx.ModelProto.FromString(content)
    model.opset_import.append(helper.make_opsetid("evil.corp", 1))
    return model.SerializeToString()


def device(installation: Installation, candidate: Candidate) -> str:
    """A release whose manifest is a link to a device that never ends."""
    digest = by_hand(installation, candidate)
    file = Path(installation.files.url) / "sha256" / digest[:2] / digest
    file.unlink()
    file.symlink_to("/dev/zero")
    return digest


HOSTILE: dict[str, Callable[[Installation, Candidate], str]] = {
    "a path": lambda _, __: "../../../../etc/passwd",
    "no release": lambda installation, _: installation.files.put(b"[" * 100_000),
    "a pickle": lambda installation, candidate: by_hand(installation, candidate, model=b"\x80\x04\x95."),
    "a foreign operator": lambda installation, candidate: by_hand(
        installation, candidate, model=with_a_foreign_operator(candidate.contents["model.onnx"])
    ),
    "a device": device,
}


@pytest.mark.parametrize("role", ["champion", "challenger"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_release_is_refused_once_and_what_served_goes_on(
    fresh: Service, other_candidate: Candidate, monkeypatch: pytest.MonkeyPatch, case: str, role: str
) -> None:
    installation = fresh.installation
    before = fresh.get("/model/version").json()
    loaded: list[str] = []
    load = load_bundle
    monkeypatch.setattr(
        poller,
        "load_bundle",
        lambda files, digest, *trial, **wanted: loaded.append(digest) or load(files, digest, *trial, **wanted),
    )
    bad = HOSTILE[case](installation, other_candidate)
    if role == "champion":
        installation.name(bad)
    else:
        installation.name(before["release"], bad, 0.5)
    not_taken = {"champion": "not_taken", "challenger": "challenger_not_taken"}[role]
    told = fresh.until(lambda: (found := fresh.get("/model/version").json())[not_taken] and found)
    assert (told["release"], told["challenger"], told[not_taken]["release"]) == (before["release"], None, bad)
    assert told[not_taken]["reason"] == "release"
    assert fresh.get("/health/ready").status_code == 200
    assert fresh.post("/predict", {"attributes": ONLINE_ROWS[0]}).json()["model"]["release"] == before["release"]
    tries = list(loaded)
    assert set(tries) == {bad}
    assert (
        len(tries) <= 2
    )  # on a busy machine a challenger that takes long is tried once more, beside the champion that serves by then
    time.sleep(0.4)  # several looks
    assert loaded == tries
    assert fresh.metric("churn_model_load_failures_total", role=role) == 1


def test_a_release_that_breaks_what_reads_it_is_not_read_again_and_again(
    fresh: Service, other_candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def breaks(_: object, digest: str, *__: object, **___: object) -> None:
        tried.append(digest)
        raise MemoryError

    monkeypatch.setattr(poller, "load_bundle", breaks)
    bad = fresh.installation.release(other_candidate).champion
    told = fresh.until(lambda: (found := fresh.get("/model/version").json())["not_taken"] and found)
    assert (told["epoch"], told["not_taken"]["reason"]) == (1, "unexpected")
    time.sleep(0.4)
    assert tried == [bad]


def test_an_answer_that_is_no_probability_is_a_500_that_is_counted_and_never_sent(
    fresh: Service, candidate: Candidate
) -> None:
    """The model answers 0.5 for its golden rows, and 7.0 where the first number is above 0.5."""
    files = fresh.installation.files
    contents = {
        **candidate.contents,
        "model.onnx": model(chain(1, target_weights=[0.25, 3.5]), last="Add"),
        "golden.json": golden(0.5),
    }
    staged = stage(files, contents, msgspec.structs.replace(candidate.manifest, signature=SIGNATURE))
    blessing = Blessing(staged.candidate, "accepted", (Rule("auc", True, "0.8", "0.6"),), "gate", NOW_S)
    release = files.put(encode(msgspec.structs.replace(staged, blessing=blessing)))
    fresh.installation.name(release)
    fresh.until(lambda: fresh.get("/model/version").json()["release"] == release, within_s=30)
    right, wrong = ({"attributes": {"c0": first, "c1": 0.0, "c2": 0.0}} for first in (0.0, 1.0))
    assert fresh.post("/predict", right).json()["probability"] == 0.5
    logged = len(fresh.installation.spooled())
    for path, body in (("/predict", wrong), ("/predict/batch", {"records": [right, wrong, wrong]})):
        assert problem(fresh.post(path, body), 500)["type"] == "urn:churn:problem:no-probability"
    assert fresh.metric("churn_predictions_no_probability_total", release=release[:12], role="champion") == 3
    assert len(fresh.installation.spooled()) == logged
