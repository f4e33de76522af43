"""Nobody but its owner reads what lies in ``home``: new files of every kind, and those of an older installation."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from churn_store.private_files import GROUP_AND_OTHERS, keep_private, make_private
from tests.api.processes import CHURN, run, serving, settings_of

WRITES = """
import os, sys
os.umask(0o022)
import churn_assets.definitions
import polars as pl
from churn_assets.lake.lake import Lake
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import write_snapshot
settings = churn_assets.definitions.settings
Lake(settings.lake_url).replace("t", {"2026-01-01": pl.DataFrame({"k": [1]})}, run_id="r")
DigestStore(settings.releases_url).put(b"x")
write_snapshot(settings.online_url, name="n", snapshot_s=0, columns=["a"], rows=[("c", [1.0])], now_s=0)
settings.clock.fix(settings.clock.now())
"""
"""What a run of the graph writes, in a process that loads the definitions as Dagster does."""


def open_to_others(folder: Path) -> list[str]:
    """All that others than the owner have a right to."""
    return sorted(
        f"{path} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & GROUP_AND_OTHERS and not path.is_symlink()
    )


@pytest.mark.integration
def test_what_graph_commands_and_service_write_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"home": str(home), "service": {"ship_s": 0.1}}))
    command = f"umask 022; exec {CHURN}"
    for arguments in ("migrate", f"keys create --name Ada --file {home}/api-key"):
        subprocess.run(
            ["sh", "-c", f"{command} {arguments}"],
            check=True,
            cwd=tmp_path,
            env=settings_of(tmp_path),
            stdout=subprocess.DEVNULL,
        )
    subprocess.run([sys.executable, "-c", WRITES], check=True, cwd=tmp_path, env=settings_of(tmp_path))
    with serving(tmp_path) as process:
        process.until("/health/live", 200)
        assert list(home.glob("service/keys.json"))
        process.stop()
    names = {path.name for path in home.rglob("*")}
    assert {"serving.db", "api-key", "spool", "lake", "as_of", "current.json", "keys.json"} <= names
    assert open_to_others(home) == []


@pytest.mark.integration
def test_migrate_makes_an_older_home_private_and_a_second_time_does_nothing(tmp_path: Path) -> None:
    home, dagsters = tmp_path / "home", tmp_path / ".dagster"
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"home": str(home)}))
    for folder in (home / "lake" / "t", home / "spool", dagsters / "storage"):
        folder.mkdir(parents=True, mode=0o755)
        (folder / "file").write_text("a customer's")
        (folder / "file").chmod(0o644)
    (home / "api-key").write_text("k")
    (home / "link").symlink_to(tmp_path / "churn.yaml")
    (tmp_path / "churn.yaml").chmod(0o644)
    assert open_to_others(home)
    first, second = run(tmp_path, "migrate"), run(tmp_path, "migrate")
    assert open_to_others(home) == open_to_others(dagsters) == []
    assert "are yours alone now" in first.stdout
    assert "are yours alone now" not in second.stdout
    assert stat.S_IMODE((tmp_path / "churn.yaml").stat().st_mode) == 0o644


def test_a_folder_with_the_setgid_bit_stays_its_groups(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o666)
    tmp_path.chmod(0o2777)
    before = os.umask(0o022)
    try:
        keep_private(tmp_path)
        assert os.umask(0o022) == 0o007
        assert make_private(tmp_path) == 2
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o660
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o2770
        keep_private(tmp_path / "not there")
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


@pytest.mark.parametrize(("command", "expected"), [("score", 0o022), ("init", 0o022), ("migrate", 0o077), ("keys", 0o077)])
def test_a_file_that_the_user_names_has_the_rights_of_the_users_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, expected: int
) -> None:
    from churn_store.cli import main  # noqa: PLC0415

    met = []

    def note(**_: object) -> None:
        met.append(os.umask(0o077))
        os.umask(met[-1])

    monkeypatch.setattr(main.churn, "main", note)
    monkeypatch.setattr(sys, "argv", ["churn", command, "x"])
    before = os.umask(0o022)
    try:
        main.main()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert met == [expected]
