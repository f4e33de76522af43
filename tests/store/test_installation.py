"""A serving database that was lost is said to be lost, and begun anew only where somebody says so."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from churn_store.cli.admin import migrate as migrate_command
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect, releases
from churn_store.errors import LostError, StoreAwayError
from churn_store.releases.installation import migrate_installation, require_database_not_lost
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore


def drop(address: str) -> None:
    """Lose what is in a database."""
    if address.startswith("sqlite"):
        Path(str(sa.make_url(address).database)).write_bytes(b"")
        return
    engine = connect(address)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()


def test_a_new_installation_is_migrated(empty_database: str, tmp_path: Path) -> None:
    store = str(tmp_path / "releases")
    assert migrate_installation(empty_database, store) == migrate_installation(empty_database, store)
    assert not Path(store).exists(), "it only looks"


def test_a_database_without_tables_beside_release_files_is_lost(empty_database: str, tmp_path: Path) -> None:
    store = DigestStore(str(tmp_path / "releases"))
    migrate_installation(empty_database, store.url)
    store.put(b"a release")
    migrate_installation(empty_database, store.url)
    drop(empty_database)
    with pytest.raises(LostError, match="the serving database is lost") as lost:
        migrate_installation(empty_database, store.url)
    said = str(lost.value)
    assert said.index("backup") < said.index("`churn migrate --anew`")
    assert "releases, keys, outcomes and the log of predictions are gone then" in said
    with pytest.raises(LostError):
        require_database_not_lost(empty_database, store.url)


def test_a_file_that_is_gone_is_lost_too(tmp_path: Path) -> None:
    address, store = f"sqlite:///{tmp_path / 'serving.db'}", DigestStore(str(tmp_path / "releases"))
    store.put(b"a release")
    with pytest.raises(LostError, match="is lost"):
        migrate_installation(address, store.url)
    assert not (tmp_path / "serving.db").exists()


def test_whether_it_is_lost_is_not_guessed_while_the_store_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    address = f"sqlite:///{tmp_path / 'serving.db'}"
    with pytest.raises(StoreAwayError, match="does not answer"):
        migrate_installation(address, "s3://bucket/releases")
    migrate(address)
    migrate_installation(address, "s3://bucket/releases")


def test_the_command_begins_anew_only_where_somebody_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "churn.yaml").write_text("home: .churn\n")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    settings = ConfigFile.load()
    DigestStore(settings.releases_url).put(b"a release")
    refused = CliRunner().invoke(migrate_command)
    assert isinstance(refused.exception, LostError)
    assert not (settings.home / "serving.db").exists()
    begun = CliRunner().invoke(migrate_command, ["--anew"], catch_exceptions=False)
    assert begun.exit_code == 0
    engine = connect(settings.database_url)
    with engine.connect() as connection:
        assert connection.execute(releases.select()).all() == []
    engine.dispose()
