"""`churn init` where it can't write what it should: a sentence, and nothing half-written."""

import os
from pathlib import Path

import pytest
import yaml

from churn_assets.cli.init import run_init
from churn_assets.inspection.folder import write_all
from churn_store.errors import InputError, SourceAwayError

TABLE = "id,plan,seats,churned\n" + "".join(
    f"{number},{('basic', 'pro')[number % 2]},{number % 7},{('No', 'Yes')[number % 3 == 0]}\n" for number in range(1, 61)
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "customers.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "export"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.csv", b"", "is empty"),
        ("numbers.csv", b"a,b\n1,2\n3,4\n", "no table can be told"),
        ("rows.ndjson", b'{"id": 1, "plan": "a"}\n{"id": 2, "plan": "b"}\n', "is JSON; expected CSV"),
        ("rows.json", b'\xef\xbb\xbf[\n  {"id": 1}]', "is JSON; expected CSV"),
        ("cut.csv", b'id,name\n1,"and then', "cut off"),
    ],
)
def test_a_file_that_tells_nothing_is_refused_and_no_folder_is_made(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        run_init((str(tmp_path / name),), tmp_path / "company")
    assert not (tmp_path / "company").exists()


def test_what_is_not_there_is_refused_by_its_name(tmp_path: Path, data: Path) -> None:
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "nowhere", tmp_path / "empty", tmp_path / "no*.csv"):
        with pytest.raises(InputError, match=missing.name.replace("*", r"\*")):
            run_init((str(data), str(missing)), tmp_path / "company")
    assert not (tmp_path / "company").exists()


def test_a_database_that_is_away_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SourceAwayError) as refused:
        run_init(("postgresql://reader:s3cret@127.0.0.1:1/shop",), tmp_path / "company")
    assert "127.0.0.1" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert not (tmp_path / "company").exists()


def test_a_file_of_a_person_is_not_written_over_unless_asked(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "company"
    folder.mkdir()
    (folder / "churn.yaml").write_text("company: mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="--force"):
        run_init((str(data),), folder)
    assert [file.name for file in folder.iterdir()] == ["churn.yaml"]
    assert (folder / "churn.yaml").read_text(encoding="utf-8") == "company: mine\n"

    run_init((str(data),), folder, force=True)
    assert yaml.safe_load((folder / "churn.yaml").read_text(encoding="utf-8"))["source"]["shape"] == "table"
    assert sorted(file.name for file in folder.iterdir()) == ["churn.yaml", "dagster.yaml", "workspace.yaml"]


def test_a_file_of_a_folder_that_can_not_be_read_is_told(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "orders.xlsx").write_bytes(b"PK\x03\x04")
    (data / "notes.md").write_text("what was exported", encoding="utf-8")
    run_init((str(data),), tmp_path / "company")
    assert f"not used: {data / 'orders.xlsx'}: it is not read" in capsys.readouterr().out
    assert "orders.xlsx" in (tmp_path / "company" / "churn.yaml").read_text(encoding="utf-8")
    assert "notes.md" not in (tmp_path / "company" / "churn.yaml").read_text(encoding="utf-8")


def test_a_small_table_says_which_rows_are_missing_and_exits_with_1(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_init((str(data),), tmp_path / "company") == 1
    assert "rows have the role 'train'; expected at least" in capsys.readouterr().out


def test_a_disk_that_fills_up_leaves_no_part_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_all(tmp_path, {"dagster.yaml": "a", "workspace.yaml": "b", "churn.yaml": "c"})
    assert list(tmp_path.iterdir()) == []
