"""Release files are hostile until verified: whatever is wrong is refused before a parser that it could attack sees it.

Every test forbids the parsers that must not be reached: they fail the test if they are called.
"""

import io
import json
import os
import pickle
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from obstore.store import HTTPStore
from onnx import TensorProto, helper, numpy_helper

from churn_store.errors import ChurnError, ReleaseError, UnsafeFileError
from churn_store.model.scorer import Scorer
from churn_store.releases import bundles, golden_rows, manifest, reference_sample
from churn_store.releases.bundles import load_bundle, load_manifest, stage
from churn_store.releases.manifest import FILE_LIMITS, MANIFEST_LIMIT, Blessing, Rule, decode_golden, encode
from churn_store.releases.reference_sample import read_sample
from churn_store.safe_read import read_regular
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S, Candidate

pytestmark = pytest.mark.integration

PARSERS = {
    "manifest": (msgspec.json, "decode"),
    "golden": (bundles, "decode_golden"),
    "onnx": (onnx.ModelProto, "FromString"),
    "onnxruntime": (onnxruntime, "InferenceSession"),
}
OF_FILES = ("golden", "onnx", "onnxruntime")


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let parsers fail the test if they are called."""

    def forbid(*names: str) -> None:
        for name in names:

            def called(*_: object, name: str = name, **__: object) -> None:
                pytest.fail(f"{name} was called")

            owner, attribute = PARSERS[name]
            if owner is onnx.ModelProto:  # a class of C: its module's name for it is replaced
                fake = type("ModelProto", (), {"FromString": staticmethod(called)})
                monkeypatch.setattr("churn_store.model.onnx_allowlist.onnx.ModelProto", fake)
            else:
                monkeypatch.setattr(owner, attribute, called)

    return forbid


def released(files: DigestStore, candidate: Candidate, **contents: bytes) -> str:
    """The digest of a release that is blessed and whole, with some of its files replaced (``model``, ``golden``)."""
    named = {"model": "model.onnx", "golden": "golden.json", "reference": "reference.parquet"}
    replaced = {named[name]: content for name, content in contents.items()}
    staged = stage(files, {**candidate.contents, **replaced}, candidate.manifest)
    blessing = Blessing(staged.candidate, "accepted", (Rule("auc", True, "0.8", "0.6"),), "gate", NOW_S)
    return files.put(encode(msgspec.structs.replace(staged, blessing=blessing)))


def stored(files: DigestStore, digest: str) -> Path:
    return Path(files.url) / "sha256" / digest[:2] / digest


def flipped(file: Path, _: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncated(file: Path, _: bytes) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def emptied(file: Path, _: bytes) -> None:
    file.write_bytes(b"")


def swapped(file: Path, other: bytes) -> None:
    file.write_bytes(other)


def pickled(file: Path, _: bytes) -> None:
    file.write_bytes(pickle.dumps({"a": 1}))


def too_large(file: Path, _: bytes) -> None:
    with open(file, "ab") as opened:
        opened.truncate(max(FILE_LIMITS.values()) + 1)  # takes no space on disk


def linked(file: Path, other: bytes) -> None:
    target = file.with_name("target")
    target.write_bytes(file.read_bytes())  # even what is right behind a link is refused
    file.unlink()
    file.symlink_to(target)


def device(file: Path, _: bytes) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def pipe(file: Path, _: bytes) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path, _: bytes) -> None:
    file.unlink()
    file.mkdir()


TAMPERED: dict[Callable[[Path, bytes], None], str] = {
    flipped: "was changed", truncated: "was changed", emptied: "was changed", swapped: "was changed", pickled: "was changed",
    too_large: "more than the limit of", linked: "is a link", device: "is a link", pipe: "is not an ordinary file",
    folder: "is not an ordinary file",
}  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: tamper.__name__)
@pytest.mark.parametrize("name", ["manifest.json", *FILE_LIMITS])
@pytest.mark.timeout(10)
def test_a_file_that_was_tampered_with_is_refused_before_anything_of_it_is_parsed(
    files: DigestStore, candidate: Candidate, other_candidate: Candidate, forbid: Callable[..., None],
    tamper: Callable[[Path, bytes], None], name: str,
) -> None:  # fmt: skip
    release = released(files, candidate)
    other = load_manifest(files, released(files, other_candidate))
    if name == "manifest.json":
        tamper(stored(files, release), encode(other))
        forbid("manifest", *OF_FILES)
    else:
        tamper(stored(files, load_manifest(files, release).files[name].sha256), other_candidate.contents[name])
        forbid(*OF_FILES)
    if name == "reference.parquet" and tamper is swapped:  # the same in both candidates: take another
        stored(files, load_manifest(files, release).files[name].sha256).write_bytes(b"PAR1 of another release")
    with pytest.raises(ReleaseError, match=TAMPERED[tamper]):
        load_bundle(files, release)


@pytest.mark.parametrize(
    "digest",
    ["../../../../etc/passwd", "/etc/passwd", "", "f" * 63, "F" * 64, "..%2f" + "f" * 59, "f" * 63 + "\n", "é" * 64],
)
def test_a_digest_that_is_a_path_is_no_digest(files: DigestStore, forbid: Callable[..., None], digest: str) -> None:
    forbid(*PARSERS)
    with pytest.raises(ReleaseError, match="is not a sha256 digest"):
        load_bundle(files, digest)


def columns(count: int) -> list[dict[str, Any]]:
    return [{"name": f"c{i}", "kind": "number"} for i in range(count)]


def with_files(told: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**told, "files": {**told["files"], **changed}}


def entry(told: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return with_files(told, **{"model.onnx": {**told["files"]["model.onnx"], **changed}})


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown file": (lambda told: with_files(told, **{"model.pkl": told["files"]["model.onnx"]}), "lists .*model.pkl"),
    "a file by a path": (lambda told: with_files(told, **{"../model.onnx": told["files"]["model.onnx"]}), r"lists \.\./"),
    "a missing file": (lambda told: {**told, "files": {}}, "lists no file"),
    "a digest that is a path": (lambda told: entry(told, sha256="../../../etc/passwd"), "is not a sha256 digest"),
    "a file above the limit": (lambda told: entry(told, size=2**40), "bytes by its manifest, more than the limit"),
    "a size below zero": (lambda told: entry(told, size=-1), "its manifest says -1"),
    "a threshold above one": (lambda told: {**told, "threshold": 1.5}, "threshold"),
    "a threshold below zero": (lambda told: {**told, "threshold": -0.1}, "threshold"),
    "no threshold": (lambda told: {**told, "threshold": None}, "threshold"),
    "a text as threshold": (lambda told: {**told, "threshold": "0.5"}, "threshold"),
    "a field that nobody knows": (lambda told: {**told, "code": "import os"}, "unknown field `code`"),
    "too many columns": (lambda told: {**told, "signature": {"columns": columns(2_001)}}, "length <= 2000"),
    "100,000 columns": (lambda told: {**told, "signature": {"columns": columns(100_000)}}, "more than the limit"),
    "no column": (lambda told: {**told, "signature": {"columns": []}}, "length >= 1"),
    "a column twice": (lambda told: {**told, "signature": {"columns": columns(3) + columns(2)}}, "columns c0, c1 twice"),
    "a format of tomorrow": (lambda told: {**told, "format": 4}, "reads the formats 1, 2, 3"),
    "a blessing of another": (
        lambda told: {**told, "blessing": {**told["blessing"], "candidate": "f" * 64}}, "blessing of another candidate",
    ),
    "no blessing": (lambda told: {**told, "blessing": None}, "no verdict of the gate"),
}  # fmt: skip


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_says_what_no_manifest_says_is_refused_before_its_files_are_parsed(
    files: DigestStore, candidate: Candidate, forbid: Callable[..., None], case: str
) -> None:
    change, said = MANIFESTS[case]
    told = json.loads(stored(files, released(files, candidate)).read_bytes())
    told = change(told)
    if "blessing" not in case:  # its own blessing, so that nothing but the case is wrong
        told = blessed_again(told)
    release = files.put(json.dumps(told).encode())
    forbid(*OF_FILES)
    with pytest.raises(ReleaseError, match=said):
        load_bundle(files, release)


def blessed_again(told: dict[str, Any]) -> dict[str, Any]:
    try:
        candidate = msgspec.convert({**told, "blessing": None}, manifest.Manifest).candidate
    except msgspec.ValidationError:
        return told
    return {**told, "blessing": {**told["blessing"], "candidate": candidate}}


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "a threshold that is not a number": lambda told: re.sub(rb'"threshold":[\d.]+', b'"threshold":NaN', told),
    "an infinite threshold": lambda told: re.sub(rb'"threshold":[\d.]+', b'"threshold":1e999', told),
    "a number of a million digits": lambda told: re.sub(rb'"threshold":[\d.]+', b'"threshold":' + b"9" * 900_000, told),
    "a whole number of 5,000 digits": lambda told: told.replace(b'"C":1.0', b'"C":' + b"9" * 5_000),
    "a name twice": lambda told: told.replace(b'"company":"test"', b'"company":"test","company":"other"'),
    "a name twice further in": lambda told: told.replace(b'"auc":0.8', b'"auc":0.8,"auc":0.9', 1),
    "nested without end": lambda told: told.replace(b'"company":"test"', b'"company":' + b"[" * 900_000),
    "cut off": lambda told: told[:-1],
    "two manifests": lambda told: told * 2,
    "not UTF-8": lambda told: told.replace(b'"company":"test"', b'"company":"\xff"'),
    "a pickle": pickle.dumps,
    "nothing": lambda told: b"",
}


@pytest.mark.parametrize("case", BYTES)
def test_a_manifest_that_is_not_one_is_refused_in_a_sentence(
    files: DigestStore, candidate: Candidate, forbid: Callable[..., None], case: str
) -> None:
    told = BYTES[case](stored(files, released(files, candidate)).read_bytes())
    assert len(told) <= MANIFEST_LIMIT
    release = files.put(told)
    forbid(*OF_FILES)
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        load_bundle(files, release)


def test_a_file_above_the_limit_is_refused_by_what_its_manifest_says_before_the_store_is_asked(
    files: DigestStore, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = json.loads(stored(files, released(files, candidate)).read_bytes())
    release = files.put(json.dumps(blessed_again(entry(told, size=2**40))).encode())
    asked: list[str] = []
    get = DigestStore.get
    monkeypatch.setattr(
        DigestStore, "get", lambda store, digest, **limit: asked.append(digest) or get(store, digest, **limit)
    )
    with pytest.raises(ReleaseError, match="more than the limit"):
        load_bundle(files, release)
    assert asked == [release]


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def altered(content: bytes, change: Callable[[Any], None]) -> bytes:
    model = onnx.ModelProto.FromString(content)
    change(model)
    return model.SerializeToString()


def external(location: str, *, sparse: bool = False, inside: bool = False) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
        for key, value in {"location": location, "offset": "0", "length": "8"}.items():
            tensor.external_data.add(key=key, value=value)
        if inside:
            model.graph.node.append(helper.make_node("Constant", [], ["w"], value=tensor))
        elif sparse:
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        else:
            model.graph.initializer.append(tensor)

    return change


def foreign_operator(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("evil.corp", 1))
    model.graph.node.append(helper.make_node("Steal", ["numbers"], ["stolen"], domain="evil.corp"))


def function(model: Any) -> None:
    model.functions.append(
        helper.make_function(
            "", "F", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
    )


def training(model: Any) -> None:
    model.training_info.add()


def constant(model: Any, name: str, values: Any, kind: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype=kind), name))


def bomb(*nodes: tuple[str, list[str]], shown: bool = False, **constants: Any) -> Callable[[Any], None]:
    """Add nodes to a model, each with an output named by its place: b0, b1, ..."""

    def change(model: Any) -> None:
        for name, values in constants.items():
            constant(model, name, values, np.int64 if np.issubdtype(np.array(values).dtype, np.integer) else np.float32)
        for place, (operator, inputs) in enumerate(nodes):
            attributes = {"axis": 1} if operator == "Concat" else {}
            model.graph.node.append(helper.make_node(operator, inputs, [f"b{place}"], **attributes))
        if shown:
            model.graph.output.append(helper.make_tensor_value_info(f"b{len(nodes) - 1}", TensorProto.FLOAT, None))

    return change


def said_to_be_huge(model: Any) -> None:
    model.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[1 << 40], raw_data=b"\0" * 8))


def sparse(model: Any) -> None:
    made = model.graph.sparse_initializer.add()
    made.dims.append(1 << 40)
    made.values.CopyFrom(numpy_helper.from_array(np.ones(1, dtype=np.float32), "w"))
    made.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, dtype=np.int64), "i"))


def ten_thousand_nodes(model: Any) -> None:
    model.graph.node.extend(helper.make_node("IsNaN", ["numbers"], [f"n{i}"]) for i in range(10_001))


def all_targets(model: Any) -> None:
    model.graph.node.append(
        helper.make_node(
            "TreeEnsembleRegressor",
            ["numbers"],
            ["b"],
            domain="ai.onnx.ml",
            n_targets=1 << 40,
            nodes_treeids=[0],
            nodes_nodeids=[0],
        )
    )


def of_no_table(_: bytes) -> bytes:
    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("numbers", "probabilities")]
    graph = helper.make_graph([helper.make_node("Cast", ["numbers"], ["probabilities"], to=1)], "g", tensor[:1], tensor[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


DOUBLED = [("Concat", [f"b{i - 1}" if i else "numbers"] * 2) for i in range(30)]
OUTER = [("Reshape", ["numbers", "flat"]), ("Reshape", ["numbers", "tall"]), ("MatMul", ["b1", "b0"])]


def loop(model: Any) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


MODELS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a pickle": (lambda _: pickle.dumps({"model": 1}), "it is not an ONNX model"),
    "text": (lambda _: b"not a model", "it is not an ONNX model"),
    "nothing": (lambda _: b"", "it is not an ONNX model"),
    "a model in onnxruntime's own format": (lambda _: b"\x00\x00\x00\x18ORTM" + b"\x00" * 200, "it is not an ONNX model"),
    "half a model": (lambda content: content[: len(content) // 2], "it is not an ONNX model"),
    "external data by an absolute path": (lambda c: altered(c, external("/etc/passwd")), "external data"),
    "external data by a path upwards": (lambda c: altered(c, external("../../../etc/passwd")), "external data"),
    "external data beside it": (lambda c: altered(c, external("weights.bin")), "external data"),
    "external data inside of a node": (lambda c: altered(c, external("/etc/passwd", inside=True)), "external data"),
    "external data of a sparse tensor": (lambda c: altered(c, external("/etc/passwd", sparse=True)), "external data"),
    "a foreign operator": (lambda c: altered(c, foreign_operator), "operators of 'evil.corp'"),
    "a function of its own": (lambda c: altered(c, function), "functions of its own"),
    "training graphs": (lambda c: altered(c, training), "training graphs"),
    "numbers from a shape": (lambda c: altered(c, bomb(("ConstantOfShape", ["s"]), s=[1 << 28])), "operators ConstantOfShape"),
    "a range": (lambda c: altered(c, bomb(("Range", ["a", "b", "c"]), a=0, b=1 << 28, c=1)), "operators Range"),
    "numbers that are repeated": (lambda c: altered(c, bomb(("Tile", ["numbers", "s"]), s=[1, 1 << 20])), "operators Tile"),
    "a shape that is no file's": (lambda c: altered(c, said_to_be_huge), "that say they are of shape"),
    "a sparse tensor": (lambda c: altered(c, sparse), "sparse numbers"),
    "too many nodes": (lambda c: altered(c, ten_thousand_nodes), "more than 10000"),
    "constants that grow": (lambda c: altered(c, bomb(("Add", ["a", "b"]), a=[[0.5]], b=[0.5])), "runs Add on constants alone"),
    "columns doubled again and again": (lambda c: altered(c, bomb(*DOUBLED)), "computes .* numbers for 200 rows"),
    "columns against columns": (lambda c: altered(c, bomb(*OUTER, flat=[1, -1], tall=[-1, 1])), "computes .* numbers for 200 rows"),
    "trees with endless targets": (lambda c: altered(c, all_targets), "computes .* numbers for 200 rows"),
    "tensors that do not fit": (lambda c: altered(c, bomb(("Add", ["numbers", "s"]), s=[0.5] * 7)), "does not fit together"),
    "another output": (lambda c: altered(c, bomb(("IsNaN", ["numbers"]), shown=True)), "gives label, probabilities, b0; expected"),
    "no table of rows": (of_no_table, "takes numbers, which is no table of rows"),
    "a loop": (lambda c: altered(c, loop), "a graph inside of a Loop"),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_is_more_than_a_plain_graph_never_reaches_onnxruntime(
    files: DigestStore, candidate: Candidate, forbid: Callable[..., None], case: str
) -> None:
    change, said = MODELS[case]
    release = released(files, candidate, model=change(candidate.contents["model.onnx"]))
    forbid("onnxruntime", "golden")
    with pytest.raises(ReleaseError, match=said):
        load_bundle(files, release)


def test_a_pickle_that_a_model_carries_along_is_bytes_to_everybody(
    files: DigestStore, candidate: Candidate, tmp_path: Path
) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))

    def carry(model: Any) -> None:
        model.metadata_props.add(key="sklearn", value=trap.decode("latin-1"))
        model.graph.initializer.append(TensorProto(name="p", data_type=TensorProto.UINT8, dims=[len(trap)], raw_data=trap))

    load_bundle(files, released(files, candidate, model=altered(candidate.contents["model.onnx"], carry)))
    assert not sprung.exists()
    pickle.loads(trap)  # noqa: S301 - the trap works
    assert sprung.exists()


def golden(candidate: Candidate, **changed: Any) -> bytes:
    told = json.loads(candidate.contents["golden.json"])
    return json.dumps({**told, **changed}).encode()


def probabilities(candidate: Candidate, first: Any) -> list[Any]:
    return [first, *json.loads(candidate.contents["golden.json"])["probabilities"][1:]]


GOLDEN: dict[str, tuple[Callable[[Candidate], bytes], str]] = {
    "not a number": (lambda c: golden(c, probabilities=probabilities(c, float("nan"))), "golden.json"),
    "infinite": (lambda c: golden(c, probabilities=probabilities(c, float("inf"))), "golden.json"),
    "null": (lambda c: golden(c, probabilities=probabilities(c, None)), "golden.json"),
    "above one": (lambda c: golden(c, probabilities=probabilities(c, 1.5)), "a probability below 0 or above 1"),
    "below zero": (lambda c: golden(c, probabilities=probabilities(c, -0.5)), "a probability below 0 or above 1"),
    "a huge number": (
        lambda c: c.contents["golden.json"].replace(b'"sessions_30d":', b'"sessions_30d":' + b"9" * 5_000, 1), "golden.json",
    ),
    "nested": (lambda c: golden(c, rows=[]).replace(b"[]", b"[" * 100_000), "golden.json"),
    "nested inside of a row": (
        lambda c: c.contents["golden.json"].replace(b'"sessions_30d":', b'"sessions_30d":' + b'{"a":' * 100_000, 1), "golden.json",
    ),
    "a list for a number": (
        lambda c: re.sub(rb'"sessions_30d":[\d.]+', b'"sessions_30d":[1,[2]]', c.contents["golden.json"], count=1),
        "its rows can't be scored",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_rows_that_are_none_are_refused(files: DigestStore, candidate: Candidate, case: str) -> None:
    make, said = GOLDEN[case]
    with pytest.raises(ReleaseError, match=said):
        load_bundle(files, released(files, candidate, golden=make(candidate)))


def test_a_model_that_gives_no_number_is_refused_by_its_golden_rows(files: DigestStore, candidate: Candidate) -> None:
    def spoil(model: Any) -> None:
        last = next(node for node in model.graph.node if "probabilities" in node.output)
        last.output[list(last.output).index("probabilities")] = "before"
        model.graph.initializer.append(helper.make_tensor("nan", TensorProto.FLOAT, [1], [float("nan")]))
        model.graph.node.append(helper.make_node("Add", ["before", "nan"], ["probabilities"]))

    release = released(files, candidate, model=altered(candidate.contents["model.onnx"], spoil))
    with pytest.raises(ReleaseError, match="gives nan for a row, and no probability from 0 to 1 for 220 of 220 rows"):
        load_bundle(files, release)


def test_one_answer_for_all_rows_is_no_answer_of_each(files: DigestStore, candidate: Candidate) -> None:
    def answer_the_first(model: Any) -> None:
        last = next(node for node in model.graph.node if "probabilities" in node.output)
        last.output[list(last.output).index("probabilities")] = "before"
        constant(model, "first", [0], np.int64)
        model.graph.node.append(helper.make_node("Gather", ["before", "first"], ["probabilities"], axis=0))

    first = json.loads(candidate.contents["golden.json"])["probabilities"][0]
    golden_rows = json.loads(candidate.contents["golden.json"])["rows"]
    agreeing = golden(candidate, probabilities=[first] * len(golden_rows))
    model = altered(candidate.contents["model.onnx"], answer_the_first)
    with pytest.raises(ReleaseError, match=r"of shape \(1, 2\) for 200 rows; expected two a row"):
        load_bundle(files, released(files, candidate, model=model, golden=agreeing))
    scorer = Scorer(model, candidate.manifest.signature)
    with pytest.raises(ReleaseError, match="expected two a row"):
        scorer.score_rows(golden_rows[:3])


def test_as_many_probabilities_as_golden_rows_are_asked_for(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(candidate.contents["model.onnx"], candidate.manifest.signature)
    asked = decode_golden(candidate.contents["golden.json"])
    monkeypatch.setattr(Scorer, "score_rows", lambda *_: np.array([0.5]))
    with pytest.raises(ReleaseError, match="expected one each"):
        golden_rows.replay(scorer, msgspec.structs.replace(asked, probabilities=[0.5] * len(asked.rows)))


def test_no_value_of_a_golden_row_gets_into_an_error(candidate: Candidate) -> None:
    content = re.sub(rb'"sessions_30d":[\d.]+', b'"sessions_30d":"a secret', candidate.contents["golden.json"], count=1)
    with pytest.raises(ReleaseError) as refused:
        decode_golden(content)
    assert "secret" not in str(refused.value)


def test_a_store_that_lies_about_a_size_is_not_believed() -> None:
    told = Path("/proc/self/status")  # says that it has no byte
    assert told.stat().st_size == 0
    with pytest.raises(UnsafeFileError, match="has 101 bytes, more than the limit of 100"):
        read_regular(told, at_most=100)


class Liar(BaseHTTPRequestHandler):
    """Says that a file is small, or nothing of its size, and sends without end."""

    sent = 0
    length: str | None = None
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send until nobody listens any more, a gigabyte at most."""
        self.send_response(200)
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("ETag", '"x"')
        if type(self).length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(type(self).length))
        self.end_headers()
        part = b"x" * 65_536
        try:
            while type(self).sent < 2**30:
                self.wfile.write(part if type(self).length else b"10000\r\n" + part + b"\r\n")
                type(self).sent += len(part)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.mark.parametrize("length", ["10", "99999999999", None])
def test_an_object_store_that_lies_about_a_size_is_cut_off(length: str | None) -> None:
    Liar.length, Liar.sent = length, 0
    server = HTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = DigestStore.__new__(DigestStore)
        store.url = f"http://127.0.0.1:{server.server_port}"
        store._below = ""
        store._store = HTTPStore.from_url(store.url, client_options={"allow_http": True})
        with pytest.raises(ChurnError, match=r"was changed|more than the limit|can't be used"):
            store.get("f" * 64, at_most=1000)
    finally:
        server.shutdown()
        server.server_close()
    assert Liar.sent < 50_000_000


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def test_a_sample_is_read() -> None:
    frame = pl.DataFrame({"a": [1.0, None], "plan": ["x", "y"]})
    assert read_sample(parquet(frame)).equals(frame)


BOMBS: dict[str, Callable[[], bytes]] = {
    "rows": lambda: parquet(pl.DataFrame({"a": np.zeros(1_000_001)})),
    "one long text": lambda: parquet(pl.DataFrame({"a": ["x" * (2 * 2**20)]})),
    "not Parquet": lambda: b"PAR1 is not",
    "a footer without end": lambda: b"PAR1" + b"\xff" * 100 + b"\xff\xff\xff\x7fPAR1",
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_sample_that_says_it_is_more_is_refused_by_its_footer(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    content = BOMBS[case]()
    assert len(content) < 1_000_000
    monkeypatch.setattr(reference_sample, "LARGEST_UNPACKED", 2**20)
    monkeypatch.setattr(reference_sample, "run_child", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ReleaseError, match=r"reference\.parquet"):
        read_sample(content)


def test_a_damaged_sample_that_ends_the_process_that_reads_it_does_not_end_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = bytearray(parquet(pl.DataFrame({"a": [float(i % 7) for i in range(300)]})))
    content[4:40] = b"\xff" * 36  # the head of the first page; the footer is whole
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was read in this process"))
    with pytest.raises(ReleaseError, match="damaged"):
        read_sample(bytes(content))


def test_a_sample_that_grows_a_thousandfold_is_read_by_a_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    content = parquet(pl.DataFrame({f"c{i}": np.full(1_000_000, 1.5) for i in range(20)}))
    assert len(content) < 500_000
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was read in this process"))
    with pytest.raises(ReleaseError, match="takes more than 134217728 bytes when it is read"):
        read_sample(content)
