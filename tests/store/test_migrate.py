"""Migrations: run once however often and by however many they are asked for, and equal to the tables in the code."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from churn_store.database.migrate import migrate, require_migrated
from churn_store.database.schema import REVISION, connect, metadata, prediction_log, releases
from churn_store.errors import DatabaseAwayError, InputError
from tests.fault_table import Fault
from tests.store.servers import Postgres


def test_the_migrated_schema_is_the_one_in_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(empty_database: str) -> None:
    assert migrate(empty_database) == REVISION
    engine = connect(empty_database)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO releases VALUES (1, 'd', NULL, 0, 'a', 'r', 0, 'released', NULL)")
    assert migrate(empty_database) == REVISION
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM releases").scalar_one() == 1


def test_of_many_migrating_threads_all_succeed(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(migrate, [empty_database] * 4)) == {REVISION}
    require_migrated(connect(empty_database))


@pytest.mark.faults
def test_of_two_migrating_processes_both_succeed(empty_database: str, fault: Fault) -> None:
    fault.names(
        f"two migrations at once ({sa.make_url(empty_database).get_backend_name()})",
        done="two processes on an empty database",
    )
    command = [
        sys.executable,
        "-c",
        "import sys; from churn_store.database.migrate import migrate; migrate(sys.argv[1])",
        empty_database,
    ]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate(timeout=30)[1], process.returncode) for process in running] == [("", 0)] * 2
    require_migrated(connect(empty_database))
    fault.held("both end well, the tables are there once")


def test_a_database_without_tables_is_refused_with_what_to_do(empty_database: str) -> None:
    if empty_database.startswith("sqlite"):
        Path(str(sa.make_url(empty_database).database)).touch()
    with pytest.raises(InputError, match=r"has no tables; run `churn migrate`"):
        require_migrated(connect(empty_database))


def test_a_database_of_another_revision_is_refused(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match="at revision 9999"):
        require_migrated(engine)


@pytest.mark.parametrize("where", ["not there.db", "no folder/serving.db"])
def test_a_database_that_is_away_is_not_taken_for_an_empty_one(tmp_path: Path, where: str) -> None:
    with pytest.raises(DatabaseAwayError, match="are not there; run `churn migrate`"):
        require_migrated(connect(f"sqlite:///{tmp_path / where}"))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_database_does_not_list_the_parameters_of_a_statement(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError) as refused, engine.begin() as connection:
        connection.execute(prediction_log.insert().values(request_id="r", item=0, customer_id="a customer's secret"))
    assert "parameters hidden" in str(refused.value)
    assert "secret" not in str(refused.value).split("[SQL:")[1]


def test_a_postgresql_of_another_encoding_is_refused_with_what_to_do(postgres_server: Postgres) -> None:
    url = postgres_server.new_database("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(InputError, match=r"keeps text as LATIN1, .*expected UTF8"):
        migrate(url)
    with connect(url).connect() as connection:
        assert not sa.inspect(connection).get_table_names()


def test_a_text_with_a_nul_is_refused_before_any_database_sees_it(engine: sa.Engine) -> None:
    row = {"epoch": 1, "champion": "d", "actor": "a\0b", "reason": "r", "published_s": 0}
    with pytest.raises(InputError, match=r"U\+0000") as refused, engine.begin() as connection:
        connection.execute(releases.insert(), [row])
    assert "a\0b" not in str(refused.value)
    with pytest.raises(InputError, match=r"U\+0000"), engine.connect() as connection:
        connection.execute(sa.select(releases).where(releases.c.champion == "\0")).all()
