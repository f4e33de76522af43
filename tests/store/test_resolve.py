"""Which model is meant by what a person types."""

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.errors import InputError
from churn_store.releases.bundles import stage
from churn_store.releases.resolve import find_manifest
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import Candidate, bless, release

REGISTERED = {"model": "churn", "model_version": "7"}


def registered(candidate: Candidate, *, second: int = 0) -> Candidate:
    """A candidate as version 7 of the model ``churn``."""
    manifest = msgspec.structs.replace(candidate.manifest, mlflow=REGISTERED, created_s=second)
    return Candidate(manifest, candidate.contents, candidate.pipeline)


def test_a_version_of_the_registry_that_two_candidates_say_they_are_is_refused_with_both(
    engine: sa.Engine, files: DigestStore, candidate: Candidate
) -> None:
    row = release(engine, files, registered(candidate))
    digest, manifest = find_manifest(engine, files, "churn/7")
    assert digest == row.champion
    other = stage(files, candidate.contents, registered(candidate, second=1).manifest)
    bless(engine, other)
    with pytest.raises(InputError, match="names 2 candidates") as refused:
        find_manifest(engine, files, "churn/7")
    for one in (manifest, other):
        assert one.candidate[:12] in str(refused.value)


@pytest.mark.parametrize(
    "typed", ["1" * 5_000, "9" * 19, "٣" * 4, "²²²²", "churn/" + "1" * 5_000, "x" * 5_000, "\udcff/\udcff"]
)
def test_no_model_is_one_short_sentence_whatever_was_typed(
    engine: sa.Engine, files: DigestStore, candidate: Candidate, typed: str
) -> None:
    release(engine, files, candidate)
    with pytest.raises(InputError, match=r"names no model|no model that was judged here") as refused:
        find_manifest(engine, files, typed)
    assert len(str(refused.value).encode()) < 500


def test_an_epoch_is_written_in_plain_digits(engine: sa.Engine, files: DigestStore, candidate: Candidate) -> None:
    row = release(engine, files, candidate)
    for typed in ("1", "001"):
        assert find_manifest(engine, files, typed)[0] == row.champion
    with pytest.raises(InputError, match=r"epochs 1 to 1"):
        find_manifest(engine, files, "\N{ARABIC-INDIC DIGIT ONE}")
