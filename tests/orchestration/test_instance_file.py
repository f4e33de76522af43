"""What an older ``dagster.yaml`` lacks, and that the lines that are printed are enough."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from churn_assets.orchestration.instance_file import advice, instance_file_in_words
from churn_store.errors import AbsentError, InputError

TOP = Path(__file__).parents[2]
SHIPPED: dict[str, Any] = yaml.safe_load((TOP / "dagster.yaml").read_text(encoding="utf-8"))
OLDER = {
    **{name: block for name, block in SHIPPED.items() if name not in ("run_queue", "run_launcher")},
    "concurrency": {"runs": {"max_concurrent_runs": 1}},
    "run_monitoring": {"enabled": True, "start_timeout_seconds": 180},
    "retention": {"sensor": {"purge_after_days": 30}},
}
"""As it was when one run at a time was the rule."""


def written(folder: Path, content: Any) -> Path:
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_the_platforms_own_files_lack_nothing(tmp_path: Path) -> None:
    assert advice(written(tmp_path, SHIPPED)) == ""
    template = TOP / "churn_assets" / "inspection" / "templates" / "dagster.yaml"
    assert template.read_bytes() == (TOP / "dagster.yaml").read_bytes()
    assert instance_file_in_words(tmp_path).startswith("2 runs at a time")


def test_an_older_file_goes_on_and_the_printed_lines_make_it_new(tmp_path: Path) -> None:
    said = advice(written(tmp_path, OLDER))
    head, lines = said.split("\n", maxsplit=1)
    assert "is older than the platform" in head
    put_in = yaml.safe_load(lines)
    assert set(put_in) == {"concurrency", "run_queue", "run_launcher", "run_monitoring", "retention"}
    assert advice(written(tmp_path, {**OLDER, **put_in})) == ""
    with pytest.raises(AbsentError, match="older than the platform"):
        instance_file_in_words(written(tmp_path, OLDER))


@pytest.mark.parametrize("concurrency", [{"runs": {"max_concurrent_runs": 4}}, {}, None, {"pools": {"default_limit": 1}}])
def test_several_runs_without_pools_are_a_fault(tmp_path: Path, concurrency: Any) -> None:
    with pytest.raises(InputError, match="lets several runs write the same tables at once"):
        advice(written(tmp_path, {**SHIPPED, "concurrency": concurrency}))


def test_more_runs_and_longer_memory_are_the_users_choice(tmp_path: Path) -> None:
    more = {"runs": {"max_concurrent_runs": 8}, "pools": {"granularity": "run", "default_limit": 1}}
    days = {"sensor": {"purge_after_days": {"skipped": 7}}}
    assert advice(written(tmp_path, {**SHIPPED, "concurrency": more, "retention": days})) == ""


@pytest.mark.parametrize("content", ["a: [", "- a"])
def test_a_file_that_is_no_mapping_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "dagster.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="is no YAML"):
        advice(tmp_path)


def test_the_file_of_dagster_home_is_the_one_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    written(home, OLDER)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert str(home / "dagster.yaml") in advice(written(tmp_path, SHIPPED))
