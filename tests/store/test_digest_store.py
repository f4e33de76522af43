"""Release files: kept under their digest, and trusted only as far as their digest goes."""

import hashlib
import os
from pathlib import Path

import pytest

from churn_store.errors import ReleaseError
from churn_store.storage.digest_store import DigestStore


def test_a_file_is_found_under_its_own_digest(files: DigestStore) -> None:
    digest = files.put(b"model")
    assert digest == hashlib.sha256(b"model").hexdigest()
    assert files.get(digest, at_most=5) == b"model"


def test_the_same_content_twice_is_one_file(files: DigestStore) -> None:
    assert files.put(b"model") == files.put(b"model")
    assert len([path for path in Path(files.url).rglob("*") if path.is_file()]) == 1


def test_a_store_opened_again_finds_what_was_put(files: DigestStore) -> None:
    digest = files.put(b"model")
    assert DigestStore(files.url).get(digest, at_most=100) == b"model"


def test_one_changed_byte_is_refused(files: DigestStore) -> None:
    digest = files.put(b"model")
    (Path(files.url) / "sha256" / digest[:2] / digest).write_bytes(b"modeL")
    with pytest.raises(ReleaseError, match="was changed"):
        files.get(digest, at_most=100)


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(files: DigestStore) -> None:
    digest = files.put(b"model")
    with pytest.raises(ReleaseError, match="5 bytes, more than the limit of 4"):
        files.get(digest, at_most=4)


def test_a_missing_file_is_refused_by_name(files: DigestStore) -> None:
    with pytest.raises(ReleaseError, match="file aaaaaaaaaaaa is missing"):
        files.get("a" * 64, at_most=4)


@pytest.mark.parametrize("digest", ["", "abc", "../" * 21 + "a", "A" * 64, "a" * 63 + "/"])
def test_what_is_no_digest_never_becomes_a_path(files: DigestStore, digest: str) -> None:
    with pytest.raises(ReleaseError, match="is not a sha256 digest"):
        files.get(digest, at_most=4)


def test_a_folder_below_has_its_own_files_and_pointer_and_is_not_made_by_a_reader(files: DigestStore) -> None:
    below = files.below("labels/2026-01-01")
    assert (files.below("labels").folders(), below.pointer(at_most=9), list(Path(files.url).iterdir())) == ([], None, [])
    release = files.put(b"a")
    former, kept = below.put(b"a"), below.put(b"b")
    below.point(b"b")
    below.keep_only(kept)
    assert (files.below("labels").folders(), below.pointer(at_most=9)) == (["2026-01-01"], b"b")
    assert (below.get(kept, at_most=9), files.get(release, at_most=9)) == (b"b", b"a")
    with pytest.raises(ReleaseError, match="is missing"):
        below.get(former, at_most=9)


def test_a_pipe_or_something_large_in_place_of_a_pointer_is_not_read(files: DigestStore) -> None:
    below = files.below("labels")
    below.point(b"too long")
    with pytest.raises(ReleaseError, match="8 bytes, more than the limit of 7"):
        below.pointer(at_most=7)
    place = Path(files.url) / "labels" / "current.json"
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(ReleaseError, match="not an ordinary file"):
        below.pointer(at_most=7)
