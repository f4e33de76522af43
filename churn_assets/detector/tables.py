"""The benchmark's tables, for a terminal and for an asset's metadata.

Belongs here: how the findings are laid out. Does not belong here: the findings (``run``).
"""

from collections.abc import Sequence

import numpy as np

from churn_assets.detector.peers import COLUMN_RULES
from churn_assets.detector.run import (
    AFTER,
    POWER,
    WITHIN,
    Findings,
    Power,
    Promise,
)
from churn_assets.reporting.document import DocumentTable

UNSEEN = ("correlation only", "concept, labels not mature")


def false_alarm_table(found: Findings) -> DocumentTable:
    """False alarms by replay, rows and rule."""
    return DocumentTable(
        "Years of weekly windows in which nothing changes. An episode is a stretch of windows with an alert; others' rules know no agreement of "
        "windows. The interval of the episodes a year has 95 %",
        ("replay", "rows", "rule", "years", "windows called drifted", "windows with an alert", "episodes a year"),
        tuple(
            (
                replay,
                f"{rows:,}",
                rule,
                str(one.years),
                f"{one.windows:.1%}",
                f"{one.alert:.1%}",
                f"{one.episodes:.2f} ({one.low:.2f} to {one.high:.2f})",
            )
            for (replay, rows, rule), one in found.false.items()
        ),
    )


def power_table(found: Findings, rows: Sequence[int]) -> DocumentTable:
    """Power by replay, rows, kind and size of the change, over all features."""
    cells = dict.fromkeys((one.replay, one.rows, one.kind, one.size) for one in found.power if one.rows in rows)
    return DocumentTable(
        f"A change in one feature, which must be an alert for that feature. Within {WITHIN} windows, and within {AFTER}; delay in windows, to the median",
        (
            "replay",
            "rows",
            "kind",
            "size",
            "features",
            "power",
            f"in {AFTER} windows",
            "delay",
            f"features with {POWER:.0%}",
            "",
        ),
        tuple(_power_line(found, *cell) for cell in cells),
    )


def feature_table(cell: Sequence[Power], caption: str) -> DocumentTable:
    """Power by feature for one change."""
    return DocumentTable(
        caption,
        ("feature", "power", "of", "cut", "skewness"),
        tuple(
            (
                one.feature,
                f"{one.within:.0%}",
                str(one.of),
                f"{one.cut:.3f}",
                "" if one.skew is None else f"{one.skew:.1f}",
            )
            for one in cell
        ),
    )


def peer_power_table(found: Findings) -> DocumentTable:
    """In which share of the changed windows others' rules call the changed column drifted."""
    cells = dict.fromkeys((one.replay, one.rows, one.size) for one in found.power if one.peers)
    return DocumentTable(
        f"The mean of one column moved by so many standard deviations: share of single windows in which each rule calls that column drifted, "
        f"beside our alert within {WITHIN} windows, in the same year",
        ("replay", "rows", "size", "this rule", *COLUMN_RULES),
        tuple(_peer_line(found, *cell) for cell in cells),
    )


def promise_lines(promises: Sequence[Promise]) -> list[str]:
    """Each promise with what was measured."""
    return [f"{'kept  ' if one.kept else 'BROKEN'}  {one.sentence}: {one.measured}" for one in promises]


def in_columns(table: DocumentTable) -> str:
    """A table for a terminal."""
    lines = [table.head, *table.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.head))]
    body = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return f"{table.caption}\n\n{body}\n"


def _power_line(found: Findings, replay: str, rows: int, kind: str, size: float) -> tuple[str, ...]:
    cell = found.cell(replay, kind, size, rows)
    delays = [one.delay for one in cell if one.delay is not None]
    power = float(np.mean([one.within for one in cell]))
    return (
        replay,
        f"{rows:,}",
        kind,
        "" if kind in UNSEEN else f"{size:g}",
        str(len(cell)),
        f"{power:.0%}",
        f"{np.mean([one.later for one in cell]):.0%}",
        f"{np.median(delays):g}" if delays else "",
        str(sum(one.within >= POWER for one in cell)),
        "missed: no rule that looks at one input at a time can see it" if kind in UNSEEN else "",
    )


def _peer_line(found: Findings, replay: str, rows: int, size: float) -> tuple[str, ...]:
    cell = [one for one in found.cell(replay, "mean", size, rows) if one.peers]
    shares = np.mean([one.peers for one in cell], axis=0)
    ours = float(np.mean([one.within for one in cell]))
    return (replay, f"{rows:,}", f"{size:g}", f"{ours:.0%}", *(f"{share:.0%}" for share in shares))
