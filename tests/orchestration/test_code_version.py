"""Code versions follow the source of the stages that they name: what it does, not what it says of itself."""

import shutil
from pathlib import Path

import pytest

from churn_assets.orchestration.code_version import LOCK, ROOT, CodeVersions, code_version, sections_of
from churn_assets.orchestration.syntax import PACKAGES

STAGES = ("raw", "connectors", "features", "training", "evaluation", "champion", "scoring", "monitoring", "backtest")
SETTINGS = "churn_assets/settings"
COMPANY = f"{SETTINGS}/company.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the packages."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(LOCK, tmp_path)
    return tmp_path


def versions(source: Path) -> dict[str, str]:
    made = CodeVersions(source)
    return {stage: made.version(stage) for stage in STAGES}


def edit(source: Path, file: str, old: str, new: str) -> None:
    path = source / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def changed(source: Path, *edits: tuple[str, str, str]) -> set[str]:
    """The stages whose versions some edits change."""
    before = versions(source)
    for file, old, new in edits:
        edit(source, file, old, new)
    after = versions(source)
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_stages_have_versions_of_their_own_whatever_their_order() -> None:
    assert code_version("raw") == code_version("raw") != code_version("features")
    assert code_version("raw", "features") == code_version("features", "raw") != code_version("raw")


def test_a_copy_of_the_source_has_the_versions_of_the_source(source: Path) -> None:
    assert versions(source) == {stage: code_version(stage) for stage in STAGES}


def test_a_folder_that_is_no_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="'scroing' is no stage"):
        code_version("scroing")


def test_what_the_source_says_of_itself_changes_no_version(source: Path) -> None:
    edits = [
        ("churn_store/batch/scores.py", '"""', '"""Another opening. '),  # the docstring of the module
        ("churn_assets/lake/lake.py", '    """', '    """Another word. '),  # that of a definition
        ("churn_assets/raw/assets.py", '"""The tag, with the value', '"""A tag, with the value'),  # that of a constant
        ("churn_assets/features/labels.py", "\nfrom ", "\n# a comment\n\n\nfrom "),
        (f"{SETTINGS}/profit.py", 'description="what a churner', 'description="the sum that a churner'),
    ]
    assert changed(source, *edits) == set()


def test_a_new_field_of_a_section_changes_the_stages_that_take_the_section(source: Path) -> None:
    field = '    """When a snapshot has drifted."""\n'
    assert changed(source, (f"{SETTINGS}/monitoring.py", field, f"{field}\n    hush: bool = False\n")) == {"monitoring"}


def test_a_new_section_changes_no_version(source: Path) -> None:
    section = '\n\nclass Settings(ConfigFile):\n    """The configuration of the asset graph."""\n'
    new = f"\n\nclass Alarm(Section):\n    loud: bool = True\n{section}\n    alarm: Alarm = Alarm()\n"
    imported = (
        COMPANY,
        "import ConfigFile, SharedServiceSettings\n",
        "import ConfigFile, SharedServiceSettings, Section\n",
    )
    assert changed(source, imported, (COMPANY, section, new)) == set()


def test_another_default_changes_the_stages_that_take_its_section(source: Path) -> None:
    default = "auc_floor: float = Field(\n        0.6,"
    assert changed(source, (f"{SETTINGS}/gate.py", default, default.replace("0.6", "0.7"))) == {"champion", "backtest"}


def test_a_property_of_the_settings_counts_where_it_is_read(source: Path) -> None:
    edits = (COMPANY, 'return self.home / "reports"', 'return self.home / "drawn"')
    assert changed(source, edits) == {"backtest"}


def test_the_rule_of_the_scores_is_part_of_scoring_though_another_package_has_it(source: Path) -> None:
    assert changed(source, ("churn_store/batch/scores.py", "probability >= bundle", "probability > bundle")) == {"scoring"}


def test_a_comparison_in_features_changes_features_and_not_raw(source: Path) -> None:
    found = changed(source, ("churn_assets/features/labels.py", "matured > as_of", "matured >= as_of"))
    assert "features" in found
    assert not found & {"raw", "connectors", "scoring"}


def test_an_import_inside_a_function_is_followed(source: Path) -> None:
    (source / "churn_store/late.py").write_text("LIMIT = 1\n", encoding="utf-8")
    late = "\n\ndef limit() -> int:\n    from churn_store.late import LIMIT\n    return LIMIT\n"
    path = source / "churn_assets/scoring/assets.py"
    path.write_text(path.read_text(encoding="utf-8") + late, encoding="utf-8")
    assert changed(source, ("churn_store/late.py", "1", "2")) == {"scoring"}


def test_the_rows_of_raw_tables_follow_what_reads_the_source() -> None:
    reached = {part.module for part in CodeVersions(ROOT).parts("connectors")}
    assert {"churn_assets.connectors.files.source", "churn_store.mapping.numbers", "churn_assets.simulator.law"} <= reached


def test_other_locked_libraries_change_every_version(source: Path) -> None:
    before = versions(source)
    (source / LOCK.name).write_text("polars==0.0.1\n", encoding="utf-8")
    assert not set(before.values()) & set(versions(source).values())


@pytest.mark.parametrize(
    ("stage", "never"),
    [
        (
            "raw",
            {"features", "training", "evaluation", "champion", "scoring", "monitoring", "backtest", "automation", "cli"},
        ),
        ("features", {"training", "evaluation", "champion", "scoring", "monitoring", "backtest", "automation", "cli"}),
        ("training", {"champion", "scoring", "monitoring", "backtest", "automation", "cli", "connectors"}),
        ("scoring", {"training", "evaluation", "champion", "monitoring", "backtest", "automation", "cli", "connectors"}),
    ],
)
def test_a_stage_does_not_reach_what_comes_after_it(stage: str, never: set[str]) -> None:
    reached = {part.module for part in CodeVersions(ROOT).parts(stage) if part.module.startswith("churn_assets.")}
    assert not {module.split(".")[1] for module in reached} & never


def test_a_stage_takes_the_sections_that_it_reads() -> None:
    assert {"raw", "source"} <= sections_of("raw")
    assert not sections_of("raw") & {"training", "gate", "profit", "monitoring", "features", "at_risk"}
    assert {"at_risk", "label", "features", "events"} <= sections_of("features")
    assert not any("events" in sections_of(stage) for stage in ("raw", "training", "champion", "scoring", "monitoring"))
    assert not sections_of("features") & {"training", "gate", "profit", "monitoring"}
    assert {"training", "profit", "label", "at_risk"} <= sections_of("training")
    assert {"gate", "promotion", "purpose", "tracking"} <= sections_of("champion")
    assert not sections_of("training", "champion") & {"monitoring", "retraining"}
    assert "monitoring" in sections_of("monitoring")
