"""A fault as a rule finds it, before it is told of a table and a period."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from churn_assets.quality.profile import Profile
from churn_assets.settings.quality import Quality


@dataclass(frozen=True)
class Fault:
    """Something that earlier periods do not explain.

    Attributes:
        kind: one of ``findings.KINDS``.
        found: what was found, in words.
        expected: what was expected, in words.
        column: column that it is about; `None` for the whole table.
        blocking: whether it is too much to go on.
    """

    kind: str
    found: str
    expected: str
    column: str | None = None
    blocking: bool = True


Rule = Callable[[Profile, Sequence[Profile], Quality], Iterator[Fault]]
"""A rule: the faults of a profile against those of earlier periods, the oldest first, of which there is at least one."""
