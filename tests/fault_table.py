"""The table of ``make faults``: each fault, what was done, what held, and how soon it was over.

Belongs here: the fixture ``fault``, by which a test of the suite says what it does, and the table at the end of the run. A test
that is marked ``faults`` without a verdict fails: a fault that nobody judged proves nothing.
"""

from collections.abc import Generator
from typing import NoReturn

import pytest

_RESILIENT, _DEGRADED, _FAILED, _INCONCLUSIVE = "resilient", "degraded as promised", "failed", "inconclusive"
_KEY = pytest.StashKey["Fault"]()


class Fault:
    """What one test of the suite says of its fault. The table shows it also where the test fails."""

    def __init__(self, item: pytest.Item) -> None:
        self._properties = item.user_properties
        self._said: dict[str, str] = {}
        self.judged = False

    def names(self, fault: str, *, done: str) -> None:
        """State the fault and what is done to bring it about, before it is done."""
        self._say(fault=fault, done=done)

    def held(self, what: str, *, recovered_after_s: float | None = None) -> None:
        """Nobody noticed: ``what`` held. ``None`` where nothing had to recover."""
        self._judge(_RESILIENT, what, recovered_after_s)

    def degraded(self, what: str, *, recovered_after_s: float | None = None) -> None:
        """The product did less, and did and said just what is promised for this fault."""
        self._judge(_DEGRADED, what, recovered_after_s)

    def inconclusive(self, why: str) -> NoReturn:
        """The fault could not be brought about, so that nothing is proved.

        Raises:
            pytest.fail.Exception: always.
        """
        self._judge(_INCONCLUSIVE, why, None)
        pytest.fail(f"inconclusive: {why}", pytrace=False)

    def _judge(self, verdict: str, what: str, recovered_after_s: float | None) -> None:
        if "fault" not in self._said:
            pytest.fail("the test judges a fault that it has not named: call fault.names(...) first")
        self.judged = True
        seconds = "" if recovered_after_s is None else f"{recovered_after_s:.1f}"
        self._say(verdict=verdict, held=what, seconds=seconds)

    def _say(self, **words: str) -> None:
        self._said |= words
        self._properties[:] = [(name, value) for name, value in self._properties if name != "fault"] + [
            ("fault", dict(self._said))
        ]


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """The row of the table that the test writes."""
    said = Fault(request.node)
    request.node.stash[_KEY] = said
    return said


class FaultTable:
    """The hooks of pytest that hold each test of the suite to a verdict and print the table."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a test of the suite that can't say what it did."""
        silent = [
            item.nodeid
            for item in items
            if item.get_closest_marker("faults") and "fault" not in getattr(item, "fixturenames", ())
        ]
        if silent:
            raise pytest.UsageError(f"marked `faults`, but without the fixture `fault`: {', '.join(silent)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fail a test that ended without a verdict."""
        yield
        said = item.stash.get(_KEY, None)
        if said is not None and not said.judged:
            pytest.fail("the test ended without a verdict: expected fault.held(...), degraded(...) or inconclusive(...)")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row of a test, also where it comes from a worker of pytest-xdist."""
        properties = dict(report.user_properties)
        if "faults" not in report.keywords or not (report.when == "call" or report.failed):
            return
        said = properties.get("fault")
        row = dict(said) if isinstance(said, dict) else {"fault": report.nodeid.partition("::")[2], "done": ""}
        if report.failed and row.get("verdict") != _INCONCLUSIVE:
            row["verdict"] = _FAILED if report.when == "call" else _INCONCLUSIVE
            row["held"] = f"see {report.nodeid}"
        self._rows[report.nodeid] = row

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table behind the run."""
        if not self._rows:
            return
        terminalreporter.section("faults")
        for line in table(list(self._rows.values())):
            terminalreporter.write_line(line)


def table(rows: list[dict[str, str]]) -> list[str]:
    """The rows as lines of a Markdown table, with a count by verdict behind it."""
    lines = ["| fault | done | held | verdict | recovered after, s |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["fault"]):
        cells = [row.get(name, "") for name in ("fault", "done", "held", "verdict", "seconds")]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    counts = dict.fromkeys((_RESILIENT, _DEGRADED, _FAILED, _INCONCLUSIVE), 0)
    for row in rows:
        counts[row.get("verdict", _INCONCLUSIVE)] += 1
    return [*lines, "", ", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
