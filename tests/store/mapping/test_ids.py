"""Ids of customers: the same in every table, or made of the row where a table has none."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.connectors.files.source import FilesSource
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Delivery
from tests.store.mapping.reading import PAYMENTS, as_advised, payments

EVER = 2**62
TABLE = {
    "path": "bank.csv",
    "columns": {"customer_id": "none"},
    "label": {"column": "left", "churned": "1", "stayed": "0"},
    "attributes": {"age": {"column": "age", "kind": "number"}, "plan": {"column": "plan", "kind": "category"}},
}


def bank(folder: Path, rows: list[str], **changed: Any) -> Delivery:
    (folder / "bank.csv").write_text("\n".join(["age,plan,left", *rows, ""]), encoding="utf-8")
    source = {"kind": "files", "shape": "table", "customers": {**TABLE, **changed}}
    return FilesSource(FilesSettings.model_validate(source), folder).read("customers", 0, 0)


def history(folder: Path, customers: dict[str, Any], events: dict[str, Any]) -> Delivery:
    files = {
        "customers": {"path": "c.csv", "columns": {"customer_id": "id", "signed_up": "since"}, **customers},
        "events": {"path": "e.csv", "columns": {"customer_id": "id", "event_type": "kind", "occurred": "at"}, **events},
    }
    settings = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", **files})
    return FilesSource(settings, folder).read("events", -EVER, EVER)


def test_rows_without_an_id_get_the_same_one_on_every_read_and_in_any_order(tmp_path: Path) -> None:
    rows = ["30,basic,1", "40.5,pro,0", "30,basic,0", "30,pro,0"]
    ids = bank(tmp_path, rows).rows["customer_id"]
    assert ids.n_unique() == 4
    assert ids.str.contains(r"^[0-9a-f]{24}$").all()
    assert set(bank(tmp_path, rows[::-1]).rows["customer_id"]) == set(ids)


def test_a_customer_keeps_the_id_when_the_label_becomes_known(tmp_path: Path) -> None:
    before = bank(tmp_path, ["30,basic,0", "41,pro,0"]).rows["customer_id"]
    assert bank(tmp_path, ["30,basic,1", "41,pro,0"]).rows["customer_id"].equals(before)


def test_numbers_that_differ_behind_the_point_are_other_rows(tmp_path: Path) -> None:
    assert bank(tmp_path, ["40.5,pro,0", "40.25,pro,0"]).rows["customer_id"].n_unique() == 2


def test_a_table_whose_ids_are_not_mapped_is_told_how_to_do_without(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must map customer_id. Where the table has no ids write `customer_id: none`"):
        bank(tmp_path, ["30,basic,0"], columns={})
    with pytest.raises(ValueError, match="expected a column, as a history joins tables by it"):
        payments(tmp_path, "", columns={**PAYMENTS["columns"], "customer_id": "none"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("customers", "events"),
    [({}, {"ids": {"strip": "0"}}), ({"ids": {"pad": 6}}, {}), ({"ids": {"strip": "0"}}, {"ids": {"strip": "0"}})],
)
def test_zeros_are_put_before_ids_or_dropped(tmp_path: Path, customers: dict[str, Any], events: dict[str, Any]) -> None:
    (tmp_path / "c.csv").write_text("id,since\n" + "".join(f"{n},2024-01-01\n" for n in range(60)), encoding="utf-8")
    (tmp_path / "e.csv").write_text(
        "id,kind,at\n" + "".join(f"{n:06},open,2024-02-01\n" for n in range(60)), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r'they would match without leading zeros: write `ids: {strip: "0"}`'):
        history(tmp_path, {}, {})
    assert history(tmp_path, customers, events).rows.height == 60


def test_an_id_of_zeros_alone_stays_one(tmp_path: Path) -> None:
    content = "client,paid_at,total\n000,2024-01-01,1\n007,2024-01-01,1\n"
    assert set(payments(tmp_path, content, ids={"strip": "0"}).rows["customer_id"]) == {"0", "7"}


@pytest.mark.parametrize("wrong", [{}, {"pad": 6, "strip": "0"}, {"strip": "x"}, {"pad": 0}])
def test_a_rewriting_that_says_nothing_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ids"):
        payments(tmp_path, "", ids=wrong)


def test_blank_ids_are_set_aside_and_whole_numbers_lose_their_point(tmp_path: Path) -> None:
    rows = "".join(f"{n}.0 ,2024-01-01,1\n" for n in range(60))
    found = payments(tmp_path, f"client,paid_at,total\n{rows}   ,2024-01-01,1\n", missing=["NA"])
    assert set(found.rows["customer_id"]) == set(map(str, range(60)))
    assert found.unreadable["rule"].to_list() == ["an id, not only blanks"]


def test_a_yes_or_no_of_parquet_may_be_called_so(tmp_path: Path) -> None:
    pl.DataFrame({"age": [1, 2], "plan": ["a", "b"], "left": [True, False]}).write_parquet(tmp_path / "bank.parquet")
    for churned, stayed in (("Yes", "No"), ("1", "0"), ("True", "False"), ("true", "false")):
        label = {"column": "left", "churned": churned, "stayed": stayed}
        source = {
            "kind": "files",
            "shape": "table",
            "customers": {**TABLE, "path": "bank.parquet", "format": "parquet", "label": label},
        }
        read = FilesSource(FilesSettings.model_validate(source), tmp_path).read("customers", 0, 0)
        assert read.rows.sort("age")["churned"].to_list() == [True, False]


def test_a_category_with_a_word_for_nothing_is_noted_with_the_setting(tmp_path: Path) -> None:
    [note] = bank(tmp_path, ["30,NULL,0", "31,basic,0"]).notes
    assert note == 'column plan: if \'NULL\' stands for a missing value, write `missing: ["", "NA", "NULL"]` in churn.yaml'
    assert as_advised(note, TABLE)["missing"] == ["", "NA", "NULL"]
