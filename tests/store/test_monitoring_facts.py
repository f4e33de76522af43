"""The published facts of monitoring: read as they were written, replaced whole, and never read wrong."""

from pathlib import Path

import msgspec
import pytest

from churn_store.monitoring.facts import FOLDER, Facts, UnreadableFactsError, Verdict, publish_facts, read_facts
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S

FACTS = Facts(
    company="Acme",
    as_of_s=NOW_S,
    release="a" * 64,
    verdicts=[Verdict(name="drift", state="unknown", sentence="too few rows", snapshot=None, release=None, as_of_s=NOW_S)],
    drift=[],
    performance=[],
    quality=[],
)


@pytest.fixture
def store(tmp_path: Path) -> DigestStore:
    return DigestStore(str(tmp_path))


def test_facts_are_read_as_they_were_published_and_the_newest_count(store: DigestStore, tmp_path: Path) -> None:
    assert read_facts(store) is None
    first = publish_facts(store, FACTS)
    assert read_facts(store) == FACTS
    later = msgspec.structs.replace(FACTS, company="Bcme")
    assert publish_facts(store, later).digest != first.digest
    assert read_facts(store) == later
    assert publish_facts(store, later) == publish_facts(store, later)
    assert not list((tmp_path / FOLDER).rglob(f"*{first.digest}*"))


@pytest.mark.parametrize("torn", ["pointer", "file", "gone"])
def test_what_is_torn_is_told_and_not_read(store: DigestStore, tmp_path: Path, torn: str) -> None:
    published = publish_facts(store, FACTS)
    [content] = (tmp_path / FOLDER).rglob(f"*{published.digest}*")
    [pointer] = [file for file in (tmp_path / FOLDER).rglob("*") if file.is_file() and file != content]
    if torn == "pointer":
        pointer.write_bytes(pointer.read_bytes()[:20])
    elif torn == "file":
        content.chmod(0o600)
        content.write_bytes(content.read_bytes().replace(b"Acme", b"Bcme"))
    else:
        content.unlink()
    with pytest.raises(UnreadableFactsError, match="Materialize monitoring_facts again"):
        read_facts(store)
