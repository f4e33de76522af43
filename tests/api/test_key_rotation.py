"""Rotation and last use of keys: two secrets for a while, one afterwards, and the minute of the last accepted request."""

import re
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_api.security.keys import HOUR_S, KeyStore, NewKey
from churn_api.security.last_use import MINUTE_S
from churn_store.cli.main import churn
from churn_store.clock import wall_s
from churn_store.database.schema import api_keys
from churn_store.errors import InputError
from tests.api.conftest import Installation, Service
from tests.release_factory import Candidate


def store(installed: Installation) -> KeyStore:
    return KeyStore(installed.engine, now_s=int(wall_s()))


def rotate(service: Service, name: str, *, keep_hours: int) -> NewKey:
    """Rotate a key; it is remembered under its name and "new"."""
    installed = service.installation
    made = store(installed).rotate(installed.keys[name].key_id, keep_hours=keep_hours)
    installed.keys[f"{name} new"] = made
    service.until(lambda: service.get("/predict/c1", key=f"{name} new").status_code == 200)
    return made


def test_both_secrets_are_accepted_until_the_end_of_the_former_one(fresh: Service) -> None:
    made = rotate(fresh, "both", keep_hours=2)
    assert made.key_id == fresh.installation.keys["both"].key_id
    assert made.key != fresh.installation.keys["both"].key
    assert fresh.get("/predict/c1", key="both").status_code == 200
    with fresh.installation.engine.begin() as connection:
        until_s = connection.execute(sa.select(api_keys.c.former_until_s)).scalar_one()
        assert abs(until_s - wall_s() - 2 * HOUR_S) < 60
        connection.execute(api_keys.update().values(former_until_s=int(wall_s()) - 1))
    fresh.until(lambda: fresh.get("/predict/c1", key="both").status_code == 401)
    assert fresh.get("/predict/c1", key="both new").status_code == 200


def test_without_a_while_the_former_secret_is_refused_within_a_second(fresh: Service) -> None:
    rotate(fresh, "both", keep_hours=0)
    fresh.until(lambda: fresh.get("/predict/c1", key="both").status_code == 401)


def test_a_second_rotation_ends_the_oldest_secret(fresh: Service) -> None:
    rotate(fresh, "both", keep_hours=2)
    rotate(fresh, "both new", keep_hours=2)
    assert fresh.get("/predict/c1", key="both").status_code == 401
    assert fresh.get("/predict/c1", key="both new").status_code == 200


def test_a_revoked_key_is_refused_with_both_secrets_and_can_not_be_rotated(fresh: Service) -> None:
    fresh.installation.make_key("another", "predict")
    fresh.until(lambda: fresh.get("/predict/c1", key="another").status_code == 200)
    rotate(fresh, "another", keep_hours=2)
    fresh.installation.revoke("another")
    fresh.until(lambda: fresh.get("/predict/c1", key="another").status_code == 401)
    assert fresh.get("/predict/c1", key="another new").status_code == 401
    with pytest.raises(InputError, match="is revoked; expected a usable one"):
        store(fresh.installation).rotate(fresh.installation.keys["another"].key_id, keep_hours=1)


def test_a_former_secret_works_after_a_restart_without_the_database(
    installation: Installation, candidate: Candidate
) -> None:
    installation.release(candidate)
    installation.put_online()
    with installation.serve() as service:
        rotate(service, "both", keep_hours=2)
        service.until(lambda: service.get("/predict/c1").status_code == 200)
    (installation.home / "serving.db").rename(installation.home / "elsewhere.db")
    with installation.serve() as service:
        assert service.get("/predict/c1").status_code == 200
        assert service.get("/predict/c1", key="both new").status_code == 200


@pytest.mark.parametrize("state", ["unknown", "expired"])
def test_only_a_usable_key_is_rotated_and_no_file_is_left(installation: Installation, tmp_path: Path, state: str) -> None:
    key_id = "000000000000"
    if state == "expired":
        key_id = installation.make_key("old", "read", days_ago=2, expires_days=1).key_id
    with pytest.raises(InputError, match=f"is {state}; expected a usable one"):
        store(installation).rotate(key_id, keep_hours=1, file=tmp_path / "a.key")
    assert not (tmp_path / "a.key").exists()


def test_the_command_rotates_into_a_file_and_the_list_says_until_when(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(installation.home / "churn.yaml"))
    key_id = installation.keys["both"].key_id
    asked = ["keys", "rotate", key_id, "--keep-hours", "3", "--file", str(tmp_path / "a.key")]
    said = CliRunner().invoke(churn, asked, catch_exceptions=False).output
    assert said == f"key {key_id} written to {tmp_path / 'a.key'}; the former secret is accepted for 3 more hours\n"
    assert (tmp_path / "a.key").read_text().startswith(f"churn_{key_id}_")
    listed = CliRunner().invoke(churn, ["keys", "list"]).output
    assert re.search(r"both  \(former secret until \d{4}-\d\d-\d\d \d\d:\d\d\)", listed)


def test_the_last_use_is_written_to_the_minute_and_only_for_accepted_requests(
    installation: Installation, candidate: Candidate
) -> None:
    def used() -> dict[str, int | None]:
        return {key.name: key.last_used_s for key in store(installation).list()}

    installation.make_key("reader", "read")
    installation.release(candidate)
    installation.put_online()
    with installation.serve() as service:
        assert service.get("/predict/c1", key="reader").status_code == 403
        assert service.get("/predict/c1").status_code == 200
    found = used()
    assert found["reader"] is None
    assert found["both"] is not None
    assert found["both"] % MINUTE_S == 0
    assert 0 <= time.time() - found["both"] < 2 * MINUTE_S
    with installation.serve() as service:
        assert service.get("/models", key="reader").status_code == 200
    assert used()["reader"] is not None


def test_an_older_use_of_another_worker_does_not_go_back_in_time(installation: Installation, candidate: Candidate) -> None:
    later_s = int(wall_s()) + 10 * MINUTE_S
    with installation.engine.begin() as connection:
        connection.execute(api_keys.update().values(last_used_s=later_s))
    with installation.serve() as service:
        assert service.get("/models").status_code == 200
    assert [key.last_used_s for key in store(installation).list()] == [later_s]
