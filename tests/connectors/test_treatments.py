"""A company's own table of campaigns: what fits comes out canonical, what can't be is set aside with its sentence, and it is optional."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from pydantic import ValidationError

from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.contracts import sift, violations
from churn_assets.periods import Calendar
from churn_assets.raw.arrivals import arrivals
from churn_assets.raw.contracts import raw_contract
from churn_assets.raw.delivery import Arrived, Ingested
from churn_assets.raw.quarantine import EMPTY, SHARE, outcomes, parted
from churn_assets.settings.postgres import PostgresSettings
from churn_assets.settings.raw import Raw
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import SCHEMAS, Delivery
from tests.store.servers import Postgres

EVER_S = 2**62
EVENTS = {"columns": {"customer_id": "who", "event_type": "what", "occurred": "when"}}
OURS = {
    "customer_id": "who",
    "occurred": "listed",
    "channel": "by",
    "offer": "what",
    "treated": "called",
    "propensity": "chance",
}
HEAD = "who,listed,by,what,called,chance\n"
ALL = Rules(limit=1.0)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def described(columns: dict[str, str] = OURS, **changed: Any) -> FilesSettings:
    return FilesSettings.model_validate(
        {
            "kind": "files", "start": "2024-01-01", "events": {"path": "e.csv", **EVENTS},
            "treatments": {"path": "t.csv", "columns": columns, **changed},
        }
    )  # fmt: skip


def read(folder: Path, content: str, columns: dict[str, str] = OURS, *, rules: Rules = ALL, **changed: Any) -> Delivery:
    (folder / "t.csv").write_text(content)
    (folder / "e.csv").write_text("who,what,when\nc1,login,2024-01-02\n")
    return FilesSource(described(columns, **changed), folder, rules).read("treatments", -EVER_S, EVER_S)


def test_a_table_comes_out_canonical_and_keeps_its_contract(tmp_path: Path) -> None:
    found = read(
        tmp_path, HEAD + "c1,2024-02-01T09:00:00,phone,10 %,yes,0.9\nc2,2024-02-01,,,No,0.9\nc3,2024-02-02,mail,x,1,\n"
    )
    assert dict(found.rows.schema) == SCHEMAS["treatments"]
    assert found.rows.drop("known_s").rows() == [
        ("c1", "phone", "10 %", True, 0.9, at("2024-02-01T09:00:00")),
        ("c2", "", "", False, 0.9, at("2024-02-01")),
        ("c3", "mail", "x", True, None, at("2024-02-02")),
    ]
    assert violations(raw_contract("treatments", (), ("propensity",)), found.rows) == []
    assert found.unreadable.is_empty()


def test_customer_and_time_are_enough_and_constants_and_words_of_its_own_are_understood(tmp_path: Path) -> None:
    plain = read(tmp_path, "who,listed\nc1,2024-02-01\n", {"customer_id": "who", "occurred": "listed"})
    assert plain.rows.select("channel", "offer", "treated", "propensity").rows() == [("", "", True, None)]
    own = read(
        tmp_path,
        "who,listed,group\nc1,2024-02-01,Anruf\nc2,2024-02-01,Kontrolle\n",
        {"customer_id": "who", "occurred": "listed", "treated": "group"},
        constants={"channel": "phone"},
        values={"treated": {"Anruf": "true", "Kontrolle": "false"}},
    )
    assert own.rows.select("channel", "treated").rows() == [("phone", True), ("phone", False)]


BAD = {
    "a chance of 0": ("c1,2024-02-01,phone,x,yes,0", "chance", "who could not be treated is not on the list"),
    "a chance above 1": ("c1,2024-02-01,phone,x,yes,1.5", "chance", "above 0 and at most 1"),
    "held out for certain": ("c1,2024-02-01,phone,x,no,1", "chance", "below 1 for who was held out"),
    "no number": ("c1,2024-02-01,phone,x,yes,high", "chance", "a number like"),
    "another word": ("c1,2024-02-01,phone,x,perhaps,0.5", "called", "true or false, yes or no, 1 or 0"),
    "no word": ("c1,2024-02-01,phone,x,,0.5", "called", "true or false"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_row_that_can_not_be_is_set_aside_with_its_sentence(tmp_path: Path, case: str) -> None:
    row, column, said = BAD[case]
    found = read(tmp_path, f"{HEAD}{row}\nc2,2024-02-01,phone,x,yes,0.5\n")
    assert found.rows["customer_id"].to_list() == ["c2"]
    [aside] = found.unreadable.iter_rows(named=True)
    assert (aside["column"], said in aside["rule"]) == (column, True), aside


def test_rows_twice_and_propensities_that_no_mapping_saw_break_the_contract(tmp_path: Path) -> None:
    rows = read(tmp_path, HEAD + "c1,2024-02-01,phone,x,yes,0.5\nc1,2024-02-01,phone,x,no,0.5\n").rows
    contract = raw_contract("treatments", (), ("propensity",))
    sifted = sift(contract, rows)
    assert (sifted.kept.height, sifted.set_aside["rule"].to_list()) == (
        1, ["one row a customer_id, occurred_s, channel, offer"],
    )  # fmt: skip
    wrong = sift(contract, rows.head(1).with_columns(propensity=pl.lit(1.5))).set_aside
    assert "who could not be treated is not on the list" in wrong["rule"][0]


def test_treatments_of_unknown_customers_are_kept_for_whoever_judges_by_them(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("who,since\nc1,2024-01-01\n")
    content = HEAD + "c1,2024-02-01,phone,x,yes,0.5\nstranger,2024-02-01,phone,x,no,0.5\n"
    (tmp_path / "t.csv").write_text(content)
    customers = {"path": "c.csv", "columns": {"customer_id": "who", "signed_up": "since"}}
    settings = FilesSettings.model_validate({**described().model_dump(), "customers": customers})
    found = FilesSource(settings, tmp_path, Rules(limit=0.0)).read("treatments", -EVER_S, EVER_S)
    assert found.rows["customer_id"].to_list() == ["c1", "stranger"]


def test_a_period_without_a_campaign_is_as_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "c1,2024-02-10,phone,x,yes,0.5\n")
    source = FilesSource(described(), tmp_path)
    nothing: Any = lambda *_: pl.DataFrame(schema=SCHEMAS["treatments"])  # noqa: E731
    found = dict(
        arrivals(source, "treatments", ["2024-01-01", "2024-02-01"], Calendar("monthly", datetime(2024, 1, 1, tzinfo=UTC).date()),
                 Ingested(frozenset(), nothing, nothing))
    )  # fmt: skip
    contract = raw_contract("treatments", (), ("propensity",))
    for key, rows in (("2024-01-01", 0), ("2024-02-01", 1)):
        arrived = found[key]
        assert isinstance(arrived, Arrived)
        split = parted(contract, arrived, "treatments", has_time=True)
        assert split.kept.height == rows
        assert {name: one.passed for name, one in outcomes(split, "treatments", Raw()).items()} == {
            SHARE: True,
            EMPTY: True,
        }


def test_the_same_table_in_postgresql_gives_the_same_rows(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE lists (who text, listed timestamptz, by text, what text, called bool, chance float8)"
        )
        connection.execute('CREATE TABLE acts (who text, what text, "when" timestamptz)')
        connection.execute("INSERT INTO acts VALUES ('c1', 'login', '2024-01-02Z')")
        connection.execute(
            "INSERT INTO lists VALUES ('c1', '2024-02-01 09:00Z', 'phone', 'x', true, 0.9), ('c2', '2024-02-01Z', null, 'x', false, 0.9), "
            "('c3', '2024-02-02Z', 'mail', 'x', true, null)"
        )
    settings = PostgresSettings.model_validate(
        {
            "kind": "postgres", "url": url, "start": "2024-01-01", "events": {"table": "acts", **EVENTS},
            "treatments": {"table": "lists", "columns": OURS},
        }
    )  # fmt: skip
    source = PostgresSource(settings)
    first = source.fingerprint()
    rows = source.read("treatments", -EVER_S, EVER_S).rows
    content = "c1,2024-02-01T09:00:00Z,phone,x,true,0.9\nc2,2024-02-01T00:00:00Z,,x,false,0.9\nc3,2024-02-02T00:00:00Z,mail,x,true,\n"
    assert rows.equals(read(tmp_path, HEAD + content).rows)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO lists VALUES ('c4', '2024-02-03Z', 'phone', 'x', true, 0.9)")
    assert source.fingerprint() != first


def test_a_company_without_it_is_described_as_before() -> None:
    plain = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "events": {"path": "e.csv", **EVENTS}})
    assert "treatments" not in plain.model_dump_json()
    assert plain.raw_tables == plain.tables == ("customers", "events")
    assert described().tables == ("customers", "events")
    assert described().raw_tables == ("customers", "events", "treatments")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"customer_id": "who"}, "`treatments.columns` must map occurred"),
        ({**OURS, "status": "x"}, "`treatments.columns` maps unknown status"),
    ],
)
def test_a_description_that_can_not_be_is_refused(columns: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        described(columns)


def test_data_without_time_has_no_treatments() -> None:
    customers = {
        "path": "c.csv",
        "columns": {"customer_id": "who"},
        "label": {"column": "left", "churned": "1", "stayed": "0"},
    }
    with pytest.raises(ValidationError, match="`treatments` need times"):
        FilesSettings.model_validate(
            {"kind": "files", "shape": "table", "customers": customers, "treatments": {"path": "t.csv", "columns": OURS}}
        )
