"""A company's PostgreSQL: a real server, read period by period; what it holds comes out as it would of files."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.open_source import open_source
from churn_assets.connectors.postgres.connection import reading
from churn_assets.connectors.postgres.query import column_types, distinct, facts, height
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.settings.company import Settings
from churn_assets.settings.postgres import PostgresSettings
from churn_store.errors import InputError, SourceAwayError
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import SCHEMAS, Table
from tests.store.servers import Postgres

EVER = 2**62
EXAMPLE = Path(__file__).parents[2] / "examples" / "postgres" / "churn.yaml"
NAMES: tuple[Table, ...] = ("customers", "events", "payments")
SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.people (id int, since date, "Plan" text, heard timestamptz);
INSERT INTO shop.people
    SELECT n, date '2024-01-01' + n, CASE n % 3 WHEN 0 THEN 'free' WHEN 1 THEN 'pro' END, timestamptz '2024-01-02' + n * interval '1 day'
    FROM generate_series(1, 40) AS n;
CREATE TABLE shop.clicks (who int, what text, at timestamp, heard timestamptz);
INSERT INTO shop.clicks
    SELECT n % 40 + 1, CASE n % 5 WHEN 0 THEN 'ticket' ELSE 'session' END, timestamp '2024-01-15 00:30' + n * interval '3 hours',
           timestamptz '2024-01-15 00:30+01' + n * interval '3 hours' + (n % 7) * interval '1 day'
    FROM generate_series(1, 500) AS n;
INSERT INTO shop.clicks VALUES (1, 'announced', '2024-03-10', '2024-02-10 12:00Z');
CREATE TABLE shop.bills (who int, amount numeric(10, 2), state text, at timestamptz, due timestamp, list float8);
INSERT INTO shop.bills
    SELECT n % 40 + 1, 9.99 + n, CASE n % 9 WHEN 0 THEN 'chargeback' ELSE 'paid' END, timestamptz '2024-01-20 23:59:59.9' + n * interval '11 hours',
           timestamp '2024-01-20 12:00' + n * interval '11 hours', 10.5 + n
    FROM generate_series(1, 120) AS n;
"""
TABLES: dict[str, dict[str, Any]] = {
    "customers": {
        "table": "shop.people",
        "columns": {"customer_id": "id", "signed_up": "since", "known": "heard"},
        "attributes": {"plan": {"column": "Plan", "kind": "category", "nullable": True}},
    },
    "events": {
        "table": "shop.clicks",
        "columns": {"customer_id": "who", "event_type": "what", "occurred": "at", "known": "heard"},
        "time_zone": "Europe/Berlin",
    },
    "payments": {
        "table": "shop.bills",
        "columns": {
            "customer_id": "who",
            "amount": "amount",
            "status": "state",
            "occurred": "at",
            "due": "due",
            "list_price": "list",
        },
        "values": {"status": {"paid": "settled", "chargeback": "refunded"}},
    },
}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MONTHS = [at(f"2024-0{month}-01") for month in range(1, 7)]


def described(url: str, **changed: Any) -> PostgresSettings:
    return PostgresSettings.model_validate({"kind": "postgres", "start": "2024-01-01", "url": url, **TABLES, **changed})


@pytest.fixture(scope="module")
def shop(postgres_server: Postgres) -> str:
    """The address of a database with a shop's tables, which stay as they are."""
    return new_shop(postgres_server)


@pytest.fixture
def own_shop(postgres_server: Postgres) -> str:
    """The address of a database with a shop's tables, which a test may change."""
    return new_shop(postgres_server)


def new_shop(server: Postgres) -> str:
    url = server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(SHOP)
    return url


def execute(url: str, command: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(command)


def as_files(url: str, folder: Path) -> FilesSource:
    """The same tables as CSV, as PostgreSQL writes it."""
    tables: dict[str, Any] = {}
    for name, table in TABLES.items():
        file = folder / f"{name}.csv"
        with psycopg.connect(url) as connection, connection.cursor() as cursor, file.open("wb") as stream:
            cursor.execute("SET TimeZone = 'America/New_York'")
            with cursor.copy(f"COPY {table['table']} TO STDOUT (FORMAT csv, HEADER)") as copy:
                stream.writelines(copy)
        tables[name] = {key: value for key, value in table.items() if key != "table"} | {"path": file.name}
    settings = {"kind": "files", "start": "2024-01-01", **tables}
    return FilesSource(FilesSettings.model_validate(settings), folder)


def test_tables_of_a_database_give_the_rows_that_the_same_tables_give_as_files(shop: str, tmp_path: Path) -> None:
    ours, theirs = PostgresSource(described(shop)), as_files(shop, tmp_path)
    assert ours.attributes == theirs.attributes
    for name, rows in zip(NAMES, (40, 501, 120), strict=True):
        found = ours.read(name, -EVER, EVER)
        assert found.rows.height == rows
        assert found.rows.equals(theirs.read(name, -EVER, EVER).rows)
        assert found.unreadable.height == 0
        assert ours.given(name) == theirs.given(name)
        assert ours.says_when_known(name) == theirs.says_when_known(name)
        for start, end in pairwise(MONTHS):
            assert ours.read(name, start, end).rows.equals(theirs.read(name, start, end).rows)
    assert dict(ours.read("payments", -EVER, EVER).rows.schema) == SCHEMAS["payments"]


def test_periods_hold_each_row_once_and_only_theirs_is_fetched(shop: str) -> None:
    source = PostgresSource(described(shop))
    whole = source.read("events", -EVER, EVER).rows
    parts = [source.read("events", start, end).rows for start, end in pairwise(MONTHS)]
    assert sum(part.height > 0 for part in parts) > 2
    assert pl.concat(parts).sort(whole.columns).equals(whole)
    text = source._text("events", source._settings.events, MONTHS[1], MONTHS[2])  # type: ignore[arg-type]
    assert text.rows.height < whole.height


def test_reading_twice_and_reading_a_table_that_grew_gives_old_rows_their_ids(own_shop: str) -> None:
    source = PostgresSource(described(own_shop))
    before = source.read("events", -EVER, EVER).rows
    assert source.read("events", -EVER, EVER).rows.equals(before)
    execute(
        own_shop, "INSERT INTO shop.clicks SELECT * FROM shop.clicks WHERE who < 5 UNION ALL SELECT 3, 'x', now(), now()"
    )
    after = source.read("events", -EVER, EVER).rows
    assert after["event_id"].n_unique() == after.height > before.height
    assert set(before["event_id"]) < set(after["event_id"])


def test_times_of_every_type_are_cut_at_the_same_second(shop: str) -> None:
    execute(
        shop,
        """
        CREATE TABLE times AS SELECT 1 AS who, 'x' AS what, t AS zoned, t AT TIME ZONE 'UTC' AS plain,
            (t AT TIME ZONE 'UTC')::text AS text, extract(epoch FROM t)::bigint AS s, (extract(epoch FROM t) * 1000)::bigint AS ms
        FROM generate_series(timestamptz '2024-01-30 00:00Z', '2024-02-02 00:00Z', '1 hour') AS t
        """,
    )
    start, end = at("2024-01-31T01:00:00"), at("2024-02-01T00:00:00")
    for column, more in (
        ("zoned", {}),
        ("plain", {}),
        ("text", {}),
        ("s", {"time_format": "epoch_s"}),
        ("ms", {"time_format": "epoch_ms"}),
    ):
        columns = {"customer_id": "who", "event_type": "what", "occurred": column, "known": column}
        events = {"table": "times", "columns": columns, **more}
        source = PostgresSource(described(shop, customers=None, payments=None, events=events))
        seconds = source.read("events", start, end).rows["known_s"]
        assert sorted(seconds) == list(range(start, end, 3600)), column


def test_how_a_database_writes_times_for_its_own_people_does_not_matter(own_shop: str) -> None:
    events = {**TABLES["events"], "table": None, "query": "SELECT who, what, heard::date AS at, heard FROM shop.clicks"}
    source = PostgresSource(described(own_shop, events=events))
    before = source.read("events", MONTHS[0], MONTHS[2])
    name = own_shop.partition("?")[0].rpartition("/")[2]
    execute(own_shop, f"ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE {name} SET DateStyle = 'German'")
    assert source.read("events", MONTHS[0], MONTHS[2]).rows.equals(before.rows)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Europe/Berlin"])
def test_local_times_of_any_zone_are_cut_at_the_second_of_utc(shop: str, zone: str) -> None:
    query = "SELECT 1 AS who, 'x' AS what, t AS at FROM generate_series(timestamp '2024-03-30', '2024-04-02', '30 minutes') AS t"
    columns = {"customer_id": "who", "event_type": "what", "occurred": "at", "known": "at"}
    events = {"query": query, "columns": columns, "time_zone": zone}
    source = PostgresSource(described(shop, customers=None, payments=None, events=events))
    whole = source.read("events", -EVER, EVER).rows
    for start in range(at("2024-03-31"), at("2024-04-01T12:00:00"), 7200):
        expected = whole.filter(pl.col("known_s").is_between(start, start + 7200, closed="left"))
        assert source.read("events", start, start + 7200).rows.equals(expected)
        assert expected.height > 0


def test_a_query_stands_for_a_table_whatever_it_is_written_like(shop: str) -> None:
    query = "SELECT who AS \"100%\", what, at, heard FROM shop.clicks WHERE what LIKE 'tick%' -- 'only' these;\n;"
    events = {**TABLES["events"], "table": None, "query": query}
    events["columns"] = {**events["columns"], "customer_id": "100%"}
    rows = PostgresSource(described(shop, events=events)).read("events", MONTHS[1], MONTHS[2]).rows
    assert set(rows["event_type"]) == {"ticket"}


def test_a_query_can_not_change_the_database(shop: str) -> None:
    execute(
        shop,
        "CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM shop.clicks; RETURN 1; END $$",
    )
    events = {**TABLES["events"], "table": None, "query": "SELECT *, wipe() FROM shop.clicks"}
    with pytest.raises(InputError, match="read-only transaction"):
        PostgresSource(described(shop, events=events)).read("events", -EVER, EVER)


def test_a_query_is_one_statement_and_can_not_end_the_transaction(own_shop: str) -> None:
    execute(own_shop, "CREATE TABLE victim AS SELECT 1 AS x")
    query = "SELECT * FROM shop.clicks) AS a LIMIT 0; COMMIT; DROP TABLE victim; SELECT * FROM (SELECT * FROM shop.clicks"
    settings = described(own_shop, events={**TABLES["events"], "table": None, "query": query})
    events = settings.events
    assert events is not None
    asked: list[Callable[[psycopg.Connection], object]] = [
        lambda connection: column_types(connection, events, where="here"),
        lambda connection: height(connection, events),
        lambda connection: facts(connection, events, ["at"]),
        lambda connection: distinct(connection, events, "who"),
    ]
    for ask in asked:
        with pytest.raises(InputError, match="multiple commands"), reading(settings, where="here") as connection:
            ask(connection)
        execute(own_shop, "SELECT x FROM victim")
    with pytest.raises(InputError, match="multiple commands"):
        PostgresSource(settings).read("events", -EVER, EVER)


def test_what_ends_the_transaction_still_can_not_write(own_shop: str) -> None:
    with (
        pytest.raises(InputError, match="read-only transaction"),
        reading(described(own_shop), where="here") as connection,
    ):
        connection.execute("COMMIT; DROP TABLE shop.clicks")


def test_what_a_function_of_the_company_says_of_a_value_is_not_repeated(own_shop: str) -> None:
    execute(
        own_shop,
        "CREATE FUNCTION heard(x int, code text) RETURNS timestamptz LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'customer % is bad', x USING ERRCODE = code; END $$",
    )
    for code in ("P0001", "99ZZZ", "22000"):
        query = "SELECT who, what, at, heard(who, 'CODE') AS heard FROM shop.clicks".replace("CODE", code)
        source = PostgresSource(described(own_shop, events={**TABLES["events"], "table": None, "query": query}))
        with pytest.raises(InputError, match=r"its query. can't be read") as error:
            source.read("events", MONTHS[0], MONTHS[1])
        assert "customer" not in str(error.value)


def test_a_missing_time_comes_with_every_period_and_is_set_aside(own_shop: str) -> None:
    execute(own_shop, "UPDATE shop.clicks SET heard = NULL WHERE ctid IN (SELECT ctid FROM shop.clicks LIMIT 3)")
    source = PostgresSource(described(own_shop))
    for start, end in pairwise(MONTHS[:3]):
        unreadable = source.read("events", start, end).unreadable
        assert unreadable.select("column", "value", "known_s").unique().rows() == [("heard", None, None)]
        assert unreadable.height == 3
        assert '"what":' in unreadable["row"][0]
    with pytest.raises(InputError, match="column heard holds nothing; expected an ISO 8601"):
        PostgresSource(described(own_shop), Rules(limit=0)).read("events", MONTHS[0], MONTHS[1])


def test_a_table_without_time_gives_its_labels(shop: str) -> None:
    customers = {
        "query": 'SELECT id, id % 2 = 0 AS gone, "Plan" FROM shop.people',
        "columns": {"customer_id": "id"},
        "label": {"column": "gone", "churned": "true", "stayed": "false"},
    }
    settings = described(shop, shape="table", start=None, customers=customers, events=None, payments=None)
    source = PostgresSource(settings)
    rows = source.read("customers", 0, 0).rows
    assert rows["churned"].sum() == 20
    assert source.fingerprint() == source.fingerprint()


def test_derived_customers_are_those_of_files(shop: str, tmp_path: Path) -> None:
    files = as_files(shop, tmp_path)
    ours = PostgresSource(described(shop, customers=None))
    theirs = FilesSource(files._settings.model_copy(update={"customers": None}), tmp_path)
    assert not ours.says_when_known("customers")
    assert ours.read("customers", -EVER, MONTHS[2]).rows.equals(theirs.read("customers", -EVER, MONTHS[2]).rows)


@pytest.mark.parametrize(
    "change", ["INSERT INTO shop.clicks VALUES (1, 'x', now(), now())", "DELETE FROM shop.clicks WHERE who = 3"]
)
def test_the_fingerprint_changes_when_rows_come_or_go(own_shop: str, change: str) -> None:
    source = PostgresSource(described(own_shop))
    before = source.fingerprint()
    assert source.fingerprint() == before
    execute(own_shop, change)
    assert source.fingerprint() != before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"table": "shop.nothing"}, ["source.events (shop.nothing)", "UndefinedTable", "does not exist", "Change `table`"]),
        (
            {"columns": {**TABLES["events"]["columns"], "occurred": "when"}},
            ["no column when; it has who, what, at, heard", "Change the mapping"],
        ),
        ({"table": None, "query": "SELEC 1"}, ["source.events (its query)", "syntax error"]),
        ({"table": None, "query": "SELECT who, who, what, at, heard FROM shop.clicks"}, ["several columns who"]),
        ({"table": None, "query": "SELECT (who::text || 'secret')::int AS who, what, at, heard FROM shop.clicks"}, ["can't be read"]),
        ({"table": None, "query": "SELECT pg_sleep(9), c.* FROM shop.clicks AS c"}, ["longer than 1 s", "statement_timeout_s"]),
        ({"time_zone": "UTC", "columns": {**TABLES["events"]["columns"], "occurred": "who"}}, ["column who holds", "ISO 8601"]),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_in_one_sentence(shop: str, changed: dict[str, Any], said: list[str]) -> None:
    settings = described(shop, events={**TABLES["events"], **changed}, statement_timeout_s=1)
    with pytest.raises(InputError) as error:
        PostgresSource(settings).read("events", MONTHS[0], MONTHS[1])
    for words in said:
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_times_in_another_unit_are_noticed_though_no_period_has_them(shop: str) -> None:
    execute(shop, "CREATE TABLE ms AS SELECT who, what, (extract(epoch FROM heard) * 1000)::bigint AS at FROM shop.clicks")
    events = {
        "table": "ms",
        "columns": {"customer_id": "who", "event_type": "what", "occurred": "at"},
        "time_format": "epoch_s",
    }
    source = PostgresSource(described(shop, events=events))
    with pytest.raises(InputError, match=r"501 of 501 times lie in the future.*write `time_format: epoch_ms`"):
        source.read("events", MONTHS[0], MONTHS[1])
    execute(shop, "DELETE FROM ms")
    with pytest.raises(InputError, match="no rows; expected at least one"):
        source.read("events", MONTHS[0], MONTHS[1])


def test_rows_of_customers_whom_the_customers_table_does_not_have_are_refused(own_shop: str) -> None:
    source = PostgresSource(described(own_shop))
    assert source.read("events", MONTHS[0], MONTHS[1]).rows.height > 0
    execute(
        own_shop,
        "UPDATE shop.clicks SET who = who + 1000; INSERT INTO shop.people SELECT n, '2024-01-01' FROM generate_series(1001, 1040) AS n",
    )
    assert source.read("events", MONTHS[0], MONTHS[1]).rows.height > 0
    execute(own_shop, "UPDATE shop.clicks SET who = who * 1000")
    with pytest.raises(InputError, match=r"100\.0%\) are of customers who are not in `customers`.*digits of length 7"):
        source.read("events", MONTHS[0], MONTHS[1])


@pytest.fixture
def password_needed(shop: str) -> Iterator[str]:
    """The address of the shop for a user who needs a password, with a wrong one."""
    with psycopg.connect(shop, autocommit=True) as connection:
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        file = Path(row[0])
        before = file.read_text()
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'right'")
        file.write_text("local all reader scram-sha-256\n" + before)
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.3)
        yield shop.replace("postgres:@", "reader:wr%6Fng-pass@")
        file.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE reader")


def test_a_wrong_password_is_refused_and_never_shown(password_needed: str) -> None:
    source = PostgresSource(described(password_needed))
    uses: list[Callable[[], object]] = [lambda: source.read("events", MONTHS[0], MONTHS[1]), source.fingerprint]
    for use in uses:
        with pytest.raises(
            InputError, match=r"refuses the connection .password authentication failed.*CHURN_SOURCE__URL"
        ) as error:
            use()
        shown: BaseException | None = error.value
        while shown is not None:
            assert "wrong-pass" not in str(shown)
            assert "wr%6Fng" not in str(shown)
            shown = shown.__context__ if not shown.__suppress_context__ else None
    assert "wrong-pass" not in repr(source._settings)
    right = password_needed.replace("wr%6Fng-pass", "right")
    with pytest.raises(InputError, match="permission denied"):
        PostgresSource(described(right)).read("events", MONTHS[0], MONTHS[1])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://reader:hidden@host/db",
        "postgresql://reader:hid@den@host/db",
        "postgresql://reader:hid/den@host/db",
        "postgresql://reader:hidden@host:port/db",
        "hidden",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InputError, match=r"source.url is .*expected one like postgresql://") as error:
        PostgresSource(described(url)).read("events", 0, EVER)
    assert not any(part in str(error.value) for part in ("hidden", "den@", "hid/", "hid@"))


def test_a_server_that_is_away_is_worth_another_try(tmp_path: Path) -> None:
    source = PostgresSource(described(f"postgresql://reader:secret@/shop?host={tmp_path}"))
    with pytest.raises(SourceAwayError, match="does not answer; expected it to be up") as error:
        source.read("events", 0, EVER)
    assert not isinstance(error.value, InputError)
    assert "secret" not in str(error.value)


def test_a_connection_that_dies_midway_gives_nothing_and_is_worth_another_try(shop: str) -> None:
    execute(
        shop,
        "CREATE VIEW slow AS SELECT c.* FROM shop.clicks AS c, LATERAL (SELECT pg_sleep(0.01 + c.who * 0)) AS wait",
    )
    source = PostgresSource(described(shop, events={**TABLES["events"], "table": "slow"}, batch_rows=20))

    def kill() -> None:
        with psycopg.connect(shop, autocommit=True) as connection:
            for _ in range(200):
                time.sleep(0.05)
                killed = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'FETCH%churn_source%'"
                ).fetchall()
                if killed:
                    return

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SourceAwayError, match="went away while it was read") as error:
        source.read("events", -EVER, EVER)
    killer.join()
    assert not isinstance(error.value, InputError)
    assert source.read("customers", -EVER, EVER).rows.height == 40


@contextmanager
def cut_after(url: str, replies: int) -> Iterator[str]:
    """The address of the same database behind a line that breaks after so many bytes of replies."""
    host = psycopg.conninfo.conninfo_to_dict(url)["host"]
    folder = tempfile.mkdtemp(prefix="cut-")  # a short path: the socket lies in it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/.s.PGSQL.5432")
    listener.listen()

    def forward(source: socket.socket, target: socket.socket, most: float) -> None:
        passed = 0
        with suppress(OSError):
            while passed < most and (data := source.recv(4096)):
                target.sendall(data)
                passed += len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        client, _ = listener.accept()
        real = socket.socket(socket.AF_UNIX)
        real.connect(f"{host}/.s.PGSQL.5432")
        asking = threading.Thread(target=forward, args=(client, real, float("inf")))
        asking.start()
        forward(real, client, replies)
        asking.join()

    server = threading.Thread(target=serve)
    server.start()
    yield url.replace(str(host), folder)
    server.join()
    listener.close()


def test_a_line_that_breaks_midway_gives_nothing_and_is_worth_another_try(shop: str) -> None:
    with cut_after(shop, 12_000) as url, pytest.raises(SourceAwayError, match="went away while it was read"):
        PostgresSource(described(url, batch_rows=20)).read("events", -EVER, EVER)


def test_a_database_that_dies_midway_leaves_the_lake_as_it_was_and_is_not_wrong_input(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))

    def ingest(url: str, instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
        job = build_defs(
            Settings(home=tmp_path, source=described(url, batch_rows=20))
        ).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=instance,
            partition_key=month,
            asset_selection=[dg.AssetKey("events"), dg.AssetKey("events_quarantine")],
            run_config=QUIET,
            raise_on_error=False,
        )

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        lake = Lake(Settings(home=tmp_path).lake_url)
        assert ingest(shop, instance, "2024-01-01").success
        january = lake.read("events", "2024-01-01")
        with cut_after(shop, 6_000) as url:
            failed = ingest(url, instance, "2024-02-01")
        assert not failed.success
        assert "SourceAwayError" in str([event.step_failure_data for event in failed.all_events if event.is_step_failure])
        assert instance.get_run_by_id(failed.run_id).tags.get(WRONG_INPUT_TAG) is None
        assert lake.periods("events") == ["2024-01-01"]
        assert lake.read("events", "2024-01-01").equals(january)
        assert ingest(shop, instance, "2024-02-01").success
    assert lake.read("events", "2024-02-01").height > 100


YAML = """
source:
  kind: postgres
  start: 2024-01-01
  events: {table: shop.clicks, columns: {customer_id: who, event_type: what, occurred: at}}
"""


def test_the_address_comes_from_the_environment_and_is_masked(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "churn.yaml").write_text(YAML)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.setenv("CHURN_SOURCE__URL", shop)
    settings = Settings.load()
    assert shop not in repr(settings)
    assert shop not in settings.model_dump_json()
    assert open_source(settings).read("events", -EVER, MONTHS[2]).rows.height > 100


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (YAML.replace("table: shop.clicks, ", ""), "expected either `table`, like shop.orders, or `query`"),
        (YAML.replace("shop.clicks,", "shop.clicks, query: SELECT 1,"), "give one of them"),
        (YAML.replace("kind: postgres", "kind: files"), "url: Extra inputs are not permitted"),
        (YAML.replace("occurred: at", "at: at"), "`events.columns` must map occurred"),
    ],
)
def test_an_impossible_description_is_refused_without_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str, said: str
) -> None:
    (tmp_path / "churn.yaml").write_text(yaml)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.setenv("CHURN_SOURCE__URL", "postgresql://reader:hidden@host/db")
    with pytest.raises(InputError) as error:
        Settings.load()
    assert said in str(error.value)
    assert "hidden" not in str(error.value)


def test_the_example_is_a_description_that_the_platform_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(EXAMPLE))
    monkeypatch.delenv("CHURN_SOURCE__URL", raising=False)
    settings = Settings.load()
    assert settings.tables == NAMES
    assert open_source(settings).given("payments") == {"due_s", "list_cents"}
    with pytest.raises(InputError, match=r"source\.url is not set"):
        open_source(settings).read("events", 0, EVER)


BILLING = """
CREATE SCHEMA crm; CREATE SCHEMA billing;
CREATE TABLE crm.customers AS
    SELECT n AS id, timestamptz '2023-06-01Z' AS created_at, timestamptz '2024-01-03Z' AS loaded_at, 'Basic' AS plan, 1 AS seats
    FROM generate_series(1, 20) AS n;
CREATE TABLE billing.invoice_changes AS
    SELECT n AS id, n AS customer_id, 10 AS gross, 'paid' AS state, timestamptz '2024-01-10Z' AS changed_at,
           timestamptz '2024-01-10Z' AS loaded_at, date '2024-01-12' AS due_at, 12 AS list_price
    FROM generate_series(1, 20) AS n;
"""


def test_in_the_example_a_chargeback_is_known_from_when_it_came_and_not_from_the_payment(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    execute(url, BILLING)
    monkeypatch.setenv("CHURN_CONFIG", str(EXAMPLE))
    monkeypatch.setenv("CHURN_SOURCE__URL", url)
    before = open_source(Settings.load()).read("payments", MONTHS[0], MONTHS[1]).rows
    assert before["status"].to_list() == ["settled"] * 20
    execute(
        url,
        "INSERT INTO billing.invoice_changes SELECT id + 1000, customer_id, gross, 'chargeback', '2024-02-10Z', '2024-02-11Z', due_at, "
        "list_price FROM billing.invoice_changes WHERE customer_id <= 5",
    )
    source = open_source(Settings.load())
    assert source.read("payments", MONTHS[0], MONTHS[1]).rows.equals(before)
    february = source.read("payments", MONTHS[1], MONTHS[2]).rows
    assert february.select("status", "occurred_s", "known_s").unique().rows() == [
        ("refunded", at("2024-02-10"), at("2024-02-11"))
    ]
    assert (february.height, len(set(february["payment_id"]) & set(before["payment_id"]))) == (5, 0)


def test_no_end_lies_in_the_future_and_currencies_are_counted_over_the_whole_table(own_shop: str) -> None:
    execute(
        own_shop,
        "CREATE TABLE shop.charges AS SELECT n AS who, ('2024-01-01'::date + n % 60)::timestamp AS at, 5 AS total, "
        "CASE WHEN n % 60 < 31 THEN 'EUR' ELSE 'usd' END AS currency FROM generate_series(1, 40) AS n",
    )
    execute(own_shop, "INSERT INTO shop.charges VALUES (1, 'infinity', 5, 'EUR'), (2, '9999-12-31', 5, 'EUR')")
    bills = {"table": "shop.charges", "columns": {"customer_id": "who", "occurred": "at", "amount": "total"}}

    def source(**changed: Any) -> PostgresSource:
        settings = {"kind": "postgres", "url": own_shop, "start": "2024-01-01", "payments": {**bills, **changed}}
        return PostgresSource(PostgresSettings.model_validate(settings))

    with pytest.raises(InputError, match=r"column currency holds several currencies \('EUR' 32, 'USD' 10\).*keep: EUR"):
        source().read("payments", MONTHS[0], MONTHS[1])  # in which all are of one currency
    kept = source(currency={"column": "currency", "keep": "EUR"}).read("payments", -(2**62), 2**62)
    assert kept.rows.height == 32
    assert kept.rows["occurred_s"].top_k(3).to_list()[:2] == [253_402_214_400] * 2
    assert kept.notes == ("10 payments in other currencies than EUR are left out ('EUR' 32, 'USD' 10)",)
    assert source(currency={"column": "currency", "is_converted": True}).read("payments", -(2**62), 2**62).rows.height == 42
