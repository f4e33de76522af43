"""Release files in an S3 server: whole or not there, missing is not away, and nobody waits for ever."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import obstore
import pytest

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import InputError, ReleaseError, StoreAwayError
from churn_store.releases.bundles import load_bundle
from churn_store.storage import object_storage
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.object_storage import open_store
from tests.release_factory import make_release
from tests.store.object_storage import ObjectStorage


@pytest.fixture
def bucket(s3: ObjectStorage) -> str:
    return s3.new_bucket()


@pytest.fixture
def remote(bucket: str) -> DigestStore:
    return DigestStore(f"{bucket}/company/releases")


def names(store: DigestStore) -> list[str]:
    return [file["path"] for batch in obstore.list(open_store(store.url)) for file in batch]


def test_a_file_is_kept_once_under_its_digest_and_read_back_whole(remote: DigestStore) -> None:
    content = os.urandom(12_000_000)  # goes up in several parts
    digest = remote.put(content)
    assert remote.put(content) == digest == hashlib.sha256(content).hexdigest()
    assert DigestStore(remote.url).get(digest, at_most=12_000_000) == content
    assert names(remote) == [f"sha256/{digest[:2]}/{digest}"]
    with pytest.raises(ReleaseError, match="more than the limit of 11999999"):
        remote.get(digest, at_most=11_999_999)


def test_a_changed_file_is_refused_and_put_right_when_it_is_kept_again(remote: DigestStore) -> None:
    digest = remote.put(b"model")
    obstore.put(open_store(remote.url), f"sha256/{digest[:2]}/{digest}", b"modeL")
    with pytest.raises(ReleaseError, match="was changed"):
        remote.get(digest, at_most=100)
    remote.put(b"model")
    assert remote.get(digest, at_most=100) == b"model"


def test_missing_is_the_file_s_fault_and_no_bucket_or_no_files_at_all_the_address_s(remote: DigestStore) -> None:
    with pytest.raises(StoreAwayError, match="holds no release files; look at the address"):
        remote.get("a" * 64, at_most=4)
    remote.put(b"model")
    with pytest.raises(ReleaseError, match="file aaaaaaaaaaaa is missing"):
        remote.get("a" * 64, at_most=4)
    nowhere = DigestStore("s3://there-is-none/releases")
    for use in (lambda: nowhere.get("a" * 64, at_most=4), lambda: nowhere.put(b"model")):
        with pytest.raises(StoreAwayError, match="its bucket does not exist"):
            use()
    with pytest.raises(InputError, match="not the address of an object store"):
        DigestStore("gopher://bucket/releases")


def test_a_store_that_does_not_answer_is_away_within_bounds_and_afterwards_there_again(
    s3: ObjectStorage, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert object_storage.SILENCE_S + object_storage.RETRY_S <= 60
    monkeypatch.setattr(object_storage, "SILENCE_S", 0.5)
    monkeypatch.setattr(object_storage, "RETRY_S", 0.4)
    store = DigestStore(bucket)
    digest = store.put(b"model")
    with s3.away():
        for use in (lambda: store.get(digest, at_most=9), lambda: store.put(b"other")):
            began = time.monotonic()
            with pytest.raises(StoreAwayError, match="does not answer"):
                use()
            assert time.monotonic() - began < 5
    assert store.get(digest, at_most=9) == b"model"


def test_an_endpoint_where_nobody_listens_is_away(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreAwayError, match=r"does not answer .* AWS_ENDPOINT_URL"):
        DigestStore(bucket).get("a" * 64, at_most=9)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "aws_endpoint_url"])
@pytest.mark.parametrize(
    "server",
    ["localhost:9000", "", "http://", "http://a b", " http://a", "http://a\n", "http://[::1", "http://a:99999", "ftp://a"],
)
def test_a_server_that_is_no_address_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, server: str
) -> None:
    monkeypatch.setenv(variable, server)
    with pytest.raises(InputError, match=f"{variable} is .* expected http:// or https:// and a host"):
        DigestStore("s3://bucket/releases")


def test_no_password_of_a_server_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "key:secret@localhost:9000")
    with pytest.raises(InputError) as refused:
        DigestStore("s3://bucket/releases")
    assert "secret" not in str(refused.value)


def test_an_address_with_one_slash_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="s3://bucket/releases with two slashes"):
        DigestStore("s3:/bucket/releases")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import os, sys
from churn_store.storage.digest_store import DigestStore
store = DigestStore(sys.argv[1])
while True:
    store.put(os.urandom(6_000_000))
    print("put", flush=True)
"""


def test_a_writer_killed_at_any_time_leaves_whole_files_only(remote: DigestStore) -> None:
    for wait_s in (0.0, 0.013, 0.037):
        command = [sys.executable, "-c", WRITER, remote.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "put\n"
            time.sleep(wait_s)
            writer.send_signal(signal.SIGKILL)
    found = [path.rpartition("/")[2] for path in names(remote)]
    assert len(found) >= 3
    for digest in found:
        assert len(remote.get(digest, at_most=6_000_000)) == 6_000_000


def test_a_release_is_published_to_and_verified_from_the_bucket(remote: DigestStore, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(address)
    engine = connect(address)
    row = make_release(engine, remote)
    bundle = load_bundle(DigestStore(remote.url), row.champion)
    assert (bundle.digest, row.epoch) == (row.champion, 1)
    [onnx] = [name for name in names(remote) if name.endswith(bundle.manifest.files["model.onnx"].sha256)]
    obstore.delete(open_store(remote.url), onnx)
    with pytest.raises(ReleaseError, match="is missing"):
        load_bundle(remote, row.champion)
    engine.dispose()


def test_a_folder_below_has_its_own_files_and_pointer(remote: DigestStore) -> None:
    below = remote.below("labels/2026-01-01")
    release = remote.put(b"a")
    assert (remote.below("labels").folders(), below.pointer(at_most=9)) == ([], None)
    former, kept = below.put(b"a"), below.put(b"b")
    below.point(b"b")
    below.keep_only(kept)
    assert (remote.below("labels").folders(), below.pointer(at_most=9)) == (["2026-01-01"], b"b")
    assert (below.get(kept, at_most=9), remote.get(release, at_most=9)) == (b"b", b"a")
    with pytest.raises(ReleaseError, match="is missing"):
        below.get(former, at_most=9)
