"""A line of CSV with more or fewer fields than the header is never read under the wrong names."""

import json
from pathlib import Path

import polars as pl
import pytest

from churn_assets.connectors.files.source import FilesSource
from churn_store.errors import InputError
from churn_store.mapping import csv_records
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Delivery

EVER = 2**62
GOOD = "a,2024-01-01,11.50,card\n"


def read(folder: Path, content: str, path: str = "p.csv") -> Delivery:
    """The payments of a file whose column ``note``, wherever it stands, is not mapped."""
    (folder / "p.csv").write_text(content, encoding="utf-8", newline="")
    columns = {"customer_id": "client", "occurred": "paid_at", "amount": "total"}
    payments = {"path": path, "columns": columns}
    settings = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "payments": payments})
    return FilesSource(settings, folder).read("payments", -EVER, EVER)


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("client,paid_at,total,note", "c0,2024-01-01,1,200.50,card"),
        ("note,client,paid_at,total", "card,c0,2024-01-01,1,200.50"),
        ("client,paid_at,total", "c0,2024-01-01,1,200.50"),
        ("client,paid_at,total,note", "c0,2024-01-01,11"),
        ("client,total,paid_at,note", "c0,1,200.50"),
    ],
)
def test_a_file_of_lines_with_another_number_of_fields_is_refused_naming_the_first(
    tmp_path: Path, header: str, line: str
) -> None:
    found, expected = line.count(",") + 1, header.count(",") + 1
    with pytest.raises(InputError) as error:
        read(tmp_path, f"{header}\n" + f"{line}\n" * 60)
    assert (
        f"line 2 has {found} fields, line 3 has {found} fields, line 4 has {found} fields; expected {expected} fields"
        in str(error.value)
    )
    assert "60 lines are like that" in str(error.value)
    assert not any(value in str(error.value) for value in ("c0", "2024", "200.50"))


def test_a_few_such_lines_are_set_aside_by_number_without_their_values(tmp_path: Path) -> None:
    bad = 'c0,2024-01-01,1,200.50,"x\ny"\n'
    found = read(tmp_path, "client,paid_at,total,note\n" + GOOD * 60 + bad + GOOD * 40 + "c0,2024-01-01\n" + GOOD)
    assert found.rows["amount_cents"].to_list() == [1150] * 101
    assert found.unreadable["value"].sort().to_list() == ["line 104: 2 fields", "line 62: 5 fields"]
    assert [json.loads(row) for row in found.unreadable["row"].sort()] == [
        {"file": "p.csv", "line": 104},
        {"file": "p.csv", "line": 62},
    ]


def test_of_several_files_the_one_with_such_a_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "p-1.csv").write_text("client,paid_at,total\na,2024-01-01,1\n")
    (tmp_path / "p-2.csv").write_text("client,paid_at,total\na,2024-01-01,1,200.50\n")
    with pytest.raises(InputError, match=r"p-2.csv, line 2 has 4 fields; expected 3"):
        read(tmp_path, "", path="p-*.csv")


def test_empty_lines_and_quoted_separators_and_line_breaks_are_no_fault(tmp_path: Path) -> None:
    lines = ["\r\n", 'a,2024-01-01,"1.50","x, ""y""\r\n,z"\r\n', "\r\n", "b,2024-01-02,2,5 inches\r\n", "\r\n"]
    found = read(tmp_path, "client,paid_at,total,note\r\n" + "".join(lines))
    assert sorted(found.rows["amount_cents"]) == [150, 200]
    assert found.unreadable.height == 0


def test_records_keep_their_lines_and_fields_however_the_file_is_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b'h,i\n1,"x\n,y"\n\n2\n3,4,5\na"b,c"d\n"e""f",'
    for size in range(1, len(content) + 1):
        monkeypatch.setattr(csv_records, "BLOCK", size)
        found = csv_records.records_of(content, ",")
        assert pl.DataFrame({"line": found.line, "fields": found.fields}).rows() == [
            (2, 2), (4, 0), (5, 1), (6, 3), (7, 2), (8, 2),
        ]  # fmt: skip
