"""A release of the commit b8fe0f8 (manifest of format 1) is served as it was, and so is one that is rolled back to it."""

import shutil
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.database.schema import connect, prediction_log
from churn_store.releases.rollback import roll_back
from tests.api.conftest import Installation
from tests.release_factory import NOW_S
from tests.store.test_older_installation import ARCHIVE, FIRST, SECOND

pytestmark = pytest.mark.integration

ANSWERED = (
    sa.select(prediction_log.c.features, prediction_log.c.probability).where(prediction_log.c.release == SECOND).limit(3)
)
"""What an older service answered; its table has fewer columns than that of today."""


def test_an_older_installation_is_migrated_and_serves_on_with_the_same_answers(tmp_path: Path) -> None:
    shutil.unpack_archive(ARCHIVE, tmp_path)
    with connect(f"sqlite:///{tmp_path / 'serving.db'}").connect() as older:
        answered = older.execute(ANSWERED).all()
    assert len(answered) == 3
    with Installation.make(tmp_path) as installation, installation.serve() as service:
        service.until(lambda: service.get("/model/version").status_code == 200)
        for row in answered:
            said = service.post("/predict", {"attributes": row.features}).json()
            assert abs(said["probability"] - row.probability) < 1e-6
            assert said["model"]["release"] == SECOND
        roll_back(installation.engine, installation.files, by="ada", reason="older still", now_s=NOW_S)
        service.until(lambda: msgspec.json.decode(service.get("/model/version").content)["release"] == FIRST)


def test_a_release_older_than_reasons_is_explained_by_its_reference_sample(tmp_path: Path) -> None:
    shutil.unpack_archive(ARCHIVE, tmp_path)
    with connect(f"sqlite:///{tmp_path / 'serving.db'}").connect() as older:
        answered = older.execute(ANSWERED).all()
    with Installation.make(tmp_path) as installation, installation.serve() as service:
        service.until(lambda: service.get("/model/version").status_code == 200)
        for row in answered:
            reasons = service.post("/predict?explain=true", {"attributes": row.features}).json()["reasons"]
            parts = sum(reason["contribution"] for reason in reasons["contributions"])
            assert abs(reasons["reference"]["log_odds"] + parts + reasons["difference"] - reasons["log_odds"]) < 1e-9
            assert abs(reasons["difference"]) < 1e-4
            assert {reason["code"] for reason in reasons["contributions"]} <= set(row.features)
