"""Lines of a CSV file may end with CR alone; a refusal tells no more of a file's columns than their short names."""

import codecs
import gzip
from pathlib import Path

import pytest

from churn_assets.connectors.files.source import FilesSource
from churn_store.batch.tables import open_table
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Delivery
from churn_store.redaction import LONGEST, NAMES

EVER = 2**62


def read(folder: Path, content: bytes, **changed: str) -> Delivery:
    (folder / "p.csv").write_bytes(content)
    columns = {"customer_id": "client", "occurred": "paid_at", "amount": "total"}
    payments = {"path": "p.csv", "columns": columns, **changed}
    settings = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "payments": payments})
    return FilesSource(settings, folder).read("payments", -EVER, EVER)


LINES = ["client,paid_at,total", *(f"jane.doe{n}@mail.example,2024-01-0{n + 1},11.50" for n in range(5))]


@pytest.mark.parametrize("end", ["\r", "\r\r\n", "\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_read_whatever_ends_them(tmp_path: Path, end: str, *, last: bool) -> None:
    found = read(tmp_path, (end.join(LINES) + (end if last else "")).encode())
    assert found.rows["amount_cents"].to_list() == [1150] * 5
    assert found.rows["customer_id"].unique().len() == 5


def test_lines_that_end_with_cr_are_read_in_other_encodings_and_compressed(tmp_path: Path) -> None:
    text = "\r".join(LINES)
    assert read(tmp_path, gzip.compress(text.encode())).rows.height == 5
    assert read(tmp_path, codecs.BOM_UTF16_LE + text.encode("utf-16-le"), encoding="utf-16").rows.height == 5
    assert read(tmp_path, ('"client","paid_at","total"' + text[20:]).encode()).rows.height == 5


def test_a_cr_within_quotes_or_after_a_usual_header_ends_no_line(tmp_path: Path) -> None:
    content = 'client,"pai\rd",paid_at,total\nx,"a\rb",2024-01-01,1\ny,c\rd,2024-01-01,2\n'
    assert read(tmp_path, content.encode()).rows["amount_cents"].sort().to_list() == [100, 200]


def test_a_batch_is_read_whatever_ends_its_lines(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"a,b\r1,2\r3,4\r")
    [chunk] = open_table(tmp_path / "in.csv", separator=",").chunks(["a", "b"])
    assert (chunk.rows["a"].to_list(), chunk.broken) == (["1", "3"], [])


def test_the_columns_of_a_file_are_told_as_a_few_short_names(tmp_path: Path) -> None:
    others = ["client", "totaljane@mail.example", "2024-01-01", "11.50", "x" * 500, *(f"c{n}" for n in range(200))]
    with pytest.raises(InputError) as error:
        read(tmp_path, ",".join(others).encode() + b"\n")
    said = str(error.value)
    assert "it has client, what looks like an e-mail address, a number or a time, xxx" in said
    assert "mail.example" not in said
    assert "2024" not in said
    assert "x" * (LONGEST + 1) not in said
    assert f"c34 and {len(others) - NAMES} more" in said


def test_a_batch_without_a_header_is_refused_without_its_values(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("jane@mail.example,7,jane@mail.example\n")
    with pytest.raises(InputError, match="has one name for its columns 1 and 3") as error:
        open_table(tmp_path / "in.csv", separator=",")
    assert "jane" not in str(error.value)
