"""Words of a status that the platform does not know get a line that translates them."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from churn_assets.cli.validate import validate
from churn_assets.preflight.status_words import note_of
from tests.store.mapping.reading import PAYMENTS, as_advised, delivered

COMPANY = """
company: shop
source:
  kind: files
  start: 2024-01-01
  payments:
    path: p.csv
    columns: {customer_id: client, occurred: paid_at, amount: total, status: state}
at_risk: {active_days: 180, cancelled_event: null}
label: {kind: inactivity}
"""


def test_the_line_that_validate_proposes_translates_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = ["paid", "declined", "credit note", "Zahlung offen"]
    rows = "".join(f"c{n},2024-0{n % 6 + 1}-10,{n + 1},{states[n % 20 % 4]}\n" for n in range(60))
    (tmp_path / "p.csv").write_text("client,paid_at,total,state\n" + rows, encoding="utf-8")
    (tmp_path / "churn.yaml").write_text(COMPANY, encoding="utf-8")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    said = CliRunner().invoke(validate, ["--as-of", "2024-07-01"]).output
    assert "'Zahlung offen' 15" in said
    [note] = [line for line in said.splitlines() if "mean nothing here" in line]
    assert "write `values: {status: {" in note
    columns = {**PAYMENTS["columns"], "status": "state"}  # type: ignore[dict-item]
    words = delivered(tmp_path, "payments", as_advised(note, {**PAYMENTS, "columns": columns})).rows["status"]
    assert dict(words.value_counts().iter_rows()) == {"settled": 15, "failed": 15, "refunded": 15, "Zahlung offen": 15}


def test_the_platforms_own_words_need_none_and_an_address_is_not_shown() -> None:
    assert note_of(pl.Series(["settled", "failed", "refunded", None])) == ""
    assert "@" not in note_of(pl.Series(["paid by anna@mail.example", "settled"]))
