"""`churn --help`: the same lines as click would print, without an import of any command."""

import subprocess
import sys
from importlib.metadata import entry_points

import click
from click.testing import CliRunner

from churn_store.cli.main import GROUP, churn


class Eager(click.Group):
    """A group that lists its commands as click does: all imported."""


def test_the_list_of_commands_is_the_one_that_click_prints_when_it_imports_them_all() -> None:
    eager = Eager("churn", help=churn.help, params=churn.params, context_settings=churn.context_settings)
    for command in entry_points(group=GROUP):
        eager.add_command(command.load(), command.name)
    for width in (60, 80, 120):
        shown, expected = (
            CliRunner().invoke(group, ["--help"], prog_name="churn", terminal_width=width) for group in (churn, eager)
        )
        assert shown.exit_code == 0
        assert shown.output == expected.output


def test_the_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from churn_store.cli.main import churn\n"
        "churn.main(['--help'], standalone_mode=False)\n"
        "print('imported:', *sorted(set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(done.stdout.partition("imported:")[2].split())
    assert "churn_store.cli.main" in imported
    assert not imported & {command.module for command in entry_points(group=GROUP)}
    assert not imported & {"sqlalchemy", "numpy", "polars", "dagster", "mlflow", "litestar", "pydantic"}
