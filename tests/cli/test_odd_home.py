"""A company whose folder and home have signs in their names: from raw data to a served prediction."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from churn_store.private_files import GROUP_AND_OTHERS
from tests.api.processes import CHURN, settings_of

ROOT = Path(__file__).parents[2]


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_home_with_signs_in_its_name_works_from_raw_data_to_a_prediction(tmp_path: Path) -> None:
    folder, home = tmp_path / "a b%c#d'e\"f é&=x", "h? 50% #é"
    folder.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / "churn.yaml").write_text(f"company: odd\nhome: '{home}'\nsource: {{kind: synthetic, customers: 1500}}\n")
    demo = subprocess.run(
        ["sh", "-c", f"umask 022; exec {CHURN} demo --as-of 2026-01-01"],
        check=False, cwd=folder, env=settings_of(folder), capture_output=True, text=True, timeout=880,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}
    assert {path.name for path in folder.iterdir()} == {"dagster.yaml", "workspace.yaml", "churn.yaml", ".dagster", home}
    inside = [path for top in (folder / home, folder / ".dagster") for path in (top, *top.rglob("*"))]
    assert [
        path for path in inside if stat.S_IMODE(path.lstat().st_mode) & GROUP_AND_OTHERS and not path.is_symlink()
    ] == []
