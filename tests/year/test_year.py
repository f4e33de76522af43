"""A year in a minute: a drawn history of months, troubles and people, after each step of which the invariants hold.

At the end the lake is that of an untroubled year, and nothing was asked for twice. ``docs/decisions/0042`` says why this is no state
machine of Hypothesis.
"""

import pytest

from tests.year.history import live, shortest, told
from tests.year.steps import drawn
from tests.year.world import Templates

pytestmark = [pytest.mark.year, pytest.mark.timeout(1_800)]


def test_a_year(templates: Templates, seed: int, request: pytest.FixtureRequest) -> None:
    begin, steps = drawn(seed, templates.begins)
    failure = live(templates, begin, steps)
    if failure is not None:
        short, tried = shortest(templates, begin, failure, within_s=request.config.getoption("--shorten-s"))
        pytest.fail(told(seed, begin, short, drawn=len(steps), tried=tried), pytrace=False)
