"""The table of faults: a verdict for each, and no test of the suite that passes without one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CONFTEST = """
from tests.fault_table import FaultTable, fault
def pytest_configure(config):
    config.addinivalue_line("markers", "faults: of the suite")
    config.pluginmanager.register(FaultTable(), "fault-table")
"""
SUITE = """
import pytest
pytestmark = pytest.mark.faults
def test_held(fault):
    fault.names("killed", done="-9")
    fault.held("all | rows", recovered_after_s=1.26)
def test_degraded(fault):
    fault.names("away", done="stopped")
    fault.degraded("the last good")
def test_failed(fault):
    fault.names("torn", done="a byte")
    assert 1 == 2
def test_inconclusive(fault):
    fault.names("gone", done="-9")
    fault.inconclusive("it had ended")
def test_silent(fault):
    fault.names("silent", done="nothing")
def test_nameless(fault):
    fault.held("everything")
"""


def run(folder: Path, suite: str, *options: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_suite.py").write_text(suite)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-c",
        "/dev/null",
        f"--rootdir={folder}",
        str(folder),
    ]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, cwd=Path(__file__).parent.parent)  # noqa: PLW1510 - failing tests are the subject
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_each_fault_has_its_verdict_and_a_test_without_one_fails(tmp_path: Path, options: tuple[str, ...]) -> None:
    status, said = run(tmp_path, SUITE, *options)
    assert status == 1
    assert "| killed | -9 | all / rows | resilient | 1.3 |" in said
    assert "| away | stopped | the last good | degraded as promised |  |" in said
    assert "| torn | a byte | see test_suite.py::test_failed | failed |  |" in said
    assert "| gone | -9 | it had ended | inconclusive |  |" in said
    assert "| silent | nothing | see test_suite.py::test_silent | failed |  |" in said
    assert "1 resilient, 1 degraded as promised, 3 failed, 1 inconclusive" in said
    assert "4 failed, 2 passed" in said


def test_a_test_of_the_suite_without_the_fixture_is_refused(tmp_path: Path) -> None:
    status, said = run(tmp_path, "import pytest\n@pytest.mark.faults\ndef test_a(): pass\n")
    assert status != 0
    assert "marked `faults`, but without the fixture `fault`: test_suite.py::test_a" in said


def test_other_tests_print_no_table(tmp_path: Path) -> None:
    status, said = run(tmp_path, "def test_a(): pass\n")
    assert (status, "faults" in said) == (0, False)
