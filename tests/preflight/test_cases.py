"""Small files that failed once (``cases``): each is read right, or refused in the sentence that helps."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from churn_assets.cli.validate import validate
from churn_assets.connectors.open_source import open_source
from churn_assets.settings.company import Settings
from churn_store.errors import ChurnError
from churn_store.mapping.tables import Delivery

CASES = Path(__file__).parent / "cases"
EVER = 2**62


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A case and one of its configurations: in a folder of its own, with what ``churn validate`` says of it."""
    name, _, configuration = request.param.partition("/")
    folder = shutil.copytree(CASES / name, tmp_path / name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHURN_CONFIG", str(folder / (configuration or "churn.yaml")))
    result = CliRunner().invoke(validate, ["--as-of", "2024-07-01"])
    return result.output + (str(result.exception) if isinstance(result.exception, ChurnError) else "")


def read(table: str = "payments") -> Delivery:
    return open_source(Settings.load()).read(table, -EVER, EVER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("01-extra-field", "line 2 has 5 fields, line 3 has 5 fields, line 4 has 5 fields; expected 4 fields"),
        ("03-year-9999", "1 row lies in the future, after the clock's time (2024-07-01)"),
        ("05-thousands-hint", 'write `thousands: ","` in churn.yaml'),
        ("05-thousands-hint/churn-as-advised.yaml", 'write `thousands: ","` and `decimal: "."` in churn.yaml'),
        ("06-tab-hint", r'write `separator: "\t"` in churn.yaml'),
        (
            "07-zone-localtime",
            "source.payments.time_zone: 'localtime' is not a time zone; expected a name like Europe/Berlin",
        ),
        ("08-epoch-micros", "they are microseconds: write `time_format: epoch_us` in churn.yaml"),
    ],
    indirect=["case"],
)
def test_what_is_wrong_is_said_in_a_sentence(case: str, said: str) -> None:
    assert said in case
    assert "Traceback" not in case
    assert "@" not in case


@pytest.mark.parametrize("case", ["02-cr-only"], indirect=True)
def test_lines_that_end_with_cr_are_read(case: str) -> None:
    assert "payments: 5 rows" in case
    assert read().rows["amount_cents"].to_list() == [1150] * 5


@pytest.mark.parametrize("case", ["03-year-9999"], indirect=True)
def test_a_year_that_stands_for_no_end_leaves_the_others_as_they_are(case: str) -> None:
    found = read()
    assert (found.rows.height, found.unreadable.height) == (61, 0)
    assert (found.rows["occurred_s"] < 1_720_000_000).sum() == 60


@pytest.mark.parametrize("case", ["04-last-field-multiline"], indirect=True)
def test_a_last_field_over_two_lines_is_read_whole(case: str) -> None:
    found = read()
    assert (found.rows.height, found.unreadable.height) == (61, 0)


@pytest.mark.parametrize(
    ("case", "changed", "amounts"),
    [
        ("05-thousands-hint", ("columns:", 'thousands: ","\n    columns:'), [120_000, 220_100, 320_200]),
        ("06-tab-hint", ("columns:", 'separator: "\\t"\n    columns:'), [20_050, 20_150, 20_250]),
        ("06-tab-hint/churn-as-advised.yaml", ("columns:", "columns:"), [20_050, 20_150, 20_250]),
        ("08-epoch-micros", ("epoch_ms", "epoch_us"), [20_050, 20_150, 20_250]),
    ],
    indirect=["case"],
)
def test_what_is_advised_reads_the_file(case: str, changed: tuple[str, str], amounts: list[int]) -> None:
    configured = Path(os.environ["CHURN_CONFIG"])
    configured.write_text(configured.read_text(encoding="utf-8").replace(*changed), encoding="utf-8")
    rows = read().rows.sort("occurred_s")
    assert rows.height == 60
    assert set(amounts) <= set(rows["amount_cents"])


@pytest.mark.parametrize("case", ["09-category-int-and-float"], indirect=True)
def test_a_category_of_whole_numbers_and_floats_has_one_set_of_words(case: str) -> None:
    assert "0 rows (0.00%) would be set aside" in case
    assert set(read("customers").rows["plan"].drop_nulls()) == {"1", "2", "3"}
