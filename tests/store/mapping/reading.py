"""Reads a company's file by a mapping, and applies the advice of a message as a person would."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from churn_assets.connectors.files.source import FilesSource
from churn_store.errors import InputError
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Delivery, Table
from churn_store.yaml_words import load

EVER = 2**62
NOW_S = 1_720_000_000
"""2024-07-03: later times lie in the future."""

PAYMENTS = {"path": "p.csv", "columns": {"customer_id": "client", "occurred": "paid_at", "amount": "total"}}
GERMAN_CUSTOMERS: dict[str, Any] = {
    "path": "kunden.csv",
    "separator": ";",
    "decimal": ",",
    "encoding": "windows-1252",
    "missing": ["", "k. A."],
    "columns": {"customer_id": "Kunde"},
    "label": {"column": "weg", "churned": "ja", "stayed": "nein"},
}
"""How a German company writes its table of customers; its attributes come on top."""

HEAD = "client,paid_at,total\n"


def payments(folder: Path, content: str | bytes, **changed: Any) -> Delivery:
    """The payments of a file ``p.csv`` with the columns client, paid_at, total."""
    (folder / "p.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return delivered(folder, "payments", {**PAYMENTS, **changed})


def delivered(folder: Path, table: Table, description: dict[str, Any], **more: Any) -> Delivery:
    """All rows of a table of a history, by its description, in the order of time."""
    source = {"kind": "files", "start": "2024-01-01", table: description, **more}
    found = FilesSource(FilesSettings.model_validate(source), folder, Rules(now_s=NOW_S)).read(table, -EVER, EVER)
    return replace(found, rows=found.rows.sort("occurred_s", "customer_id"))


def refusal(folder: Path, content: str | bytes, **changed: Any) -> str:
    """The sentence that a file of payments is refused with."""
    with pytest.raises(InputError) as error:
        payments(folder, content, **changed)
    assert "\n" not in str(error.value)
    return str(error.value)


def as_advised(message: str, description: dict[str, Any]) -> dict[str, Any]:
    """A description with the lines that a message writes between backquotes, as YAML reads them."""
    lines = [line for line in re.findall(r"`([^`]+)`", message) if re.match(r"[a-z_]+: \S", line)]
    assert lines, message
    kept = {name: value for name, value in description.items() if not any(line.startswith(f"{name}:") for line in lines)}
    whole = yaml.safe_dump({"source": {"payments": kept}}) + "".join(f"    {line}\n" for line in lines[:2])
    read: dict[str, Any] = load(whole)["source"]["payments"]
    return read
