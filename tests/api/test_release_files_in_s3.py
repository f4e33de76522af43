"""The service takes releases out of a bucket, and goes on while the object store is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_store.storage import object_storage
from tests.api.conftest import Installation
from tests.api.test_serve import BODY
from tests.release_factory import Candidate
from tests.store.object_storage import ObjectStorage

pytestmark = pytest.mark.integration


@pytest.fixture
def installation(tmp_path: Path, s3: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr(object_storage, "SILENCE_S", 0.3)
    monkeypatch.setattr(object_storage, "RETRY_S", 0.2)
    with Installation.make(tmp_path, store={"releases_url": f"{s3.new_bucket()}/releases"}) as made:
        yield made


def test_a_release_in_a_bucket_serves_and_goes_on_serving_while_the_store_is_away_also_after_a_restart(
    installation: Installation, s3: ObjectStorage, candidate: Candidate, other_candidate: Candidate
) -> None:
    first = installation.release(candidate)
    with installation.serve() as service:
        service.until((installation.config.cache_folder / "release.json").exists, within_s=10)
        with s3.away():
            assert service.post("/predict", BODY).status_code == 200
    second = installation.release(other_candidate)
    with s3.away(), installation.serve() as service:
        version = service.until(
            lambda: (found := service.get("/model/version").json())["not_taken"] is not None and found, within_s=10
        )
        assert (version["release"], version["from_cache"]) == (first.champion, True)
        assert version["not_taken"]["reason"] == "store"
        assert service.post("/predict", BODY).status_code == 200
    with installation.serve() as service:
        version = service.until(
            lambda: (found := service.get("/model/version").json())["release"] == second.champion and found, within_s=10
        )
        assert (version["from_cache"], version["not_taken"]) == (False, None)


def test_a_bucket_without_release_files_is_a_store_that_is_away_and_not_a_bad_release(installation: Installation) -> None:
    installation.name("a" * 64)
    with installation.serve() as service:
        service.until(lambda: service.metric("churn_model_load_failures_total", reason="store") > 1, within_s=10)
        assert service.metric("churn_model_load_failures_total", reason="release") == 0
        assert service.post("/predict", BODY).status_code == 503
