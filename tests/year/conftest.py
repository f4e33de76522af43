"""What a simulated year is asked for on the command line, and the installations that it begins from."""

from pathlib import Path

import pytest

from tests.year.world import Templates, make_templates

SEEDS = (0, 1, 2, 3, 4, 20)
"""The years of CI. With the installations that they begin from, they take two cores less than three minutes."""

BEGINS = ("2024-02-01", "2024-05-01", "2024-07-01")
"""A company of which one month is known, one before its first training, and one with its first release."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``make year YEAR="--seeds 500"``, or one seed again."""
    parser.addoption(
        "--seeds", type=int, default=None, help="number of years, with the seeds 0, 1, ...; default: those of CI"
    )
    parser.addoption("--seed", type=int, default=None, help="only the year of this seed")
    parser.addoption("--shorten-s", type=float, default=240.0, help="seconds for the search of a shorter history")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed."""
    if "seed" in metafunc.fixturenames:
        only, number = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
        metafunc.parametrize("seed", [only] if only is not None else SEEDS if number is None else range(number))


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Made once in each process of the tests."""
    return make_templates(Path(tmp_path_factory.mktemp("year")), BEGINS)
