"""`churn init` on the layouts in which companies keep their data: what it writes reads them as they are meant."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from churn_assets.cli.init import run_init
from churn_assets.connectors.open_source import open_source
from churn_assets.preflight.company import validate
from churn_assets.settings.company import Settings
from churn_store.yaml_words import load
from tests.inspection.layouts import LAYOUTS, Layout
from tests.inspection.truth import company, second

pytestmark = pytest.mark.integration

EVER = 2**62


@dataclass(frozen=True)
class Written:
    """What `churn init` made of a layout."""

    expected: Layout
    folder: Path
    said: str

    @property
    def text(self) -> str:
        """The text of churn.yaml."""
        return (self.folder / "churn.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made() -> dict[str, Written]:
    """What was written so far: each layout once, in whichever order the tests run."""
    return {}


@pytest.fixture(params=LAYOUTS)
def written(request: pytest.FixtureRequest, made: dict[str, Written], tmp_path_factory: pytest.TempPathFactory) -> Written:
    if (name := request.param) not in made:
        folder = tmp_path_factory.mktemp(name)
        (folder / "data").mkdir()
        expected = LAYOUTS[name](folder / "data", company())
        with redirect_stdout(io.StringIO()) as said:
            run_init((str(folder / "data"),), folder / "company")
        made[name] = Written(expected, folder / "company", said.getvalue())
    return made[name]


@pytest.fixture
def settings(written: Written, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CHURN_CONFIG", str(written.folder / "churn.yaml"))
    return Settings.load()


def at(content: Any, place: str) -> Any:
    for name in place.split("."):
        content = content[name]
    return content


def test_a_layout_is_read_as_it_is_meant_without_an_edit(written: Written, settings: Settings) -> None:
    expected, source = written.expected, open_source(settings)
    for table, (columns, rows) in expected.tables.items():
        read = source.read(table, -EVER, EVER)  # type: ignore[arg-type]
        assert read.unreadable.height == 0
        assert sorted(read.rows.select(columns).rows(), key=str) == sorted(rows, key=str)


def test_what_was_decided_left_out_and_asked_stands_in_the_file(written: Written) -> None:
    expected, content = written.expected, load(written.text)
    for place, value in expected.decisions.items():
        assert (place, at(content, place)) == (place, value)
    for column in expected.left_out:
        assert f"left out: {column}: " in written.said
        assert f"#   {column}: " in written.text
    questions = " ".join(written.text[: written.text.index("company:")].replace("#", " ").split())
    for words in expected.asks:
        assert words in questions


def test_nothing_in_the_tables_of_a_layout_is_found_wrong(written: Written, settings: Settings) -> None:
    report = validate(settings, open_source(settings), now_s=second(written.expected.until))
    assert {table.table: table.findings for table in report.tables} == {table.table: [] for table in report.tables}
    assert yaml.safe_load((written.folder / "dagster.yaml").read_text(encoding="utf-8"))["telemetry"] == {"enabled": False}
