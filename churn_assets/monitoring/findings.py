"""Findings about a window's features, the most severe first: what a person should look at before they believe a score.

A finding says what was found, what was expected, and what to do. Belongs here: findings from the rows of a window and of the reference. Does
not belong here: drift of values (``drift``), and faults of the raw data, which block their period (``churn_assets.quality``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from churn_store.alerts.log import LoggedAlert, Severity
from churn_store.model.signature import MISSING_CATEGORY, Column, trained_words

MOST_MISSING: Final = 0.2
"""Share of missing values that is a finding, where the reference has fewer."""

MORE_MISSING: Final = 0.1
"""So much greater than in the reference the share must be, as a feature may be missing for most customers by its nature."""

MANY: Final = 0.05
"""Share of rows with a word that training never saw, or with a number out of its range, from which on it is a warning."""

SHOWN_WORDS: Final = 5
ORDER: Final[tuple[Severity, ...]] = ("critical", "warning", "info")
"""Severities, the most severe first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should look at.

    Attributes:
        feature: name of the feature; ``None`` where it is about the whole window.
        sentence: what was found, what was expected, and what to do.
    """

    severity: Severity
    feature: str | None
    sentence: str


def findings(reference: pl.DataFrame | None, window: pl.DataFrame, columns: Sequence[Column]) -> list[Finding]:
    """The findings about a window.

    Args:
        reference: reference rows; ``None`` where there are none. Columns that it lacks are compared with nothing.
        window: rows of the window, perhaps without some columns.
        columns: inputs of the release.
    """
    if not window.height:
        return [
            Finding(
                "critical",
                None,
                "the window has no rows; expected customers at risk. Look at customer_features of its period",
            )
        ]
    found: list[Finding] = []
    for column in columns:
        if column.name not in window.columns:
            found.append(
                Finding(
                    "critical",
                    column.name,
                    f"{column.name} is missing altogether; the release was trained on it. Train a model of the present features",
                )
            )
            continue
        before = reference[column.name] if reference is not None and column.name in reference.columns else None
        found += _of_column(before, window[column.name], column, varies=_varies(reference, column.name))
    new = sorted(set(window.columns) - {column.name for column in columns} - _OWN)
    if new:
        listed = ", ".join(new[:SHOWN_WORDS]) + (f" and {len(new) - SHOWN_WORDS} more" if len(new) > SHOWN_WORDS else "")
        found.append(
            Finding(
                "info", None, f"the release was not trained on {listed}, which the window has; a retraining may use them"
            )
        )
    return sorted(found, key=lambda one: ORDER.index(one.severity))


_OWN: Final = frozenset({"customer_id", "snapshot_s", "score", "called_churn"})


def in_words(found: Sequence[Finding], alerts: Sequence[LoggedAlert] = ()) -> str:
    """How many findings there are, behind the broken data that newer snapshots wait for.

    Args:
        found: findings of the snapshot.
        alerts: open alerts of any kind.
    """
    counted = [f"{number} {severity}" for severity in ORDER if (number := sum(one.severity == severity for one in found))]
    said = f"{len(found)} finding{'s' if len(found) > 1 else ''}: {', '.join(counted)}." if found else "Nothing was found."
    broken = sum(one.alert.kind == "quality" for one in alerts)
    if not broken:
        return said
    return f"Broken data: {broken} alert{'s are' if broken > 1 else ' is'} open, see below. Of the snapshot: {said[0].lower()}{said[1:]}"


def _varies(reference: pl.DataFrame | None, name: str) -> bool:
    """Whether a feature differs among the customers of a snapshot; the season is the same for all of them."""
    if reference is None or name not in reference.columns:
        return False
    at_once = ["snapshot_s"] if "snapshot_s" in reference.columns else [pl.lit(0)]
    different = reference.drop_nulls(name).group_by(at_once).agg(pl.col(name).n_unique().alias("different"))
    return bool((different["different"] > 1).any())


def _of_column(before: pl.Series | None, now: pl.Series, column: Column, *, varies: bool) -> Iterator[Finding]:
    name, rows = column.name, now.len()
    missing = _missing(now) / rows
    usual = _missing(before) / before.len() if before is not None and before.len() else 0.0
    if missing == 1 and usual < 1:
        yield Finding(
            "critical",
            name,
            f"{name} has no value in any row; the reference lacks it in {usual:.0%}. Look at where it comes from",
        )
        return
    if missing > MOST_MISSING and missing > usual + MORE_MISSING:
        yield Finding(
            "warning",
            name,
            f"{name} is missing in {missing:.0%} of the rows; the reference lacks it in {usual:.0%}. Look at where it comes from",
        )
    if rows > 1 and now.drop_nulls().n_unique() == 1 and varies:
        yield Finding(
            "warning",
            name,
            f"{name} has one and the same value in all rows; it differs among customers in the reference. Look at where it comes from",
        )
    if column.kind == "category":
        yield from _new_words(now, column)
    else:
        yield from _out_of_range(now, column)


def _new_words(now: pl.Series, column: Column) -> Iterator[Finding]:
    known = [*column.categories, *trained_words(column), MISSING_CATEGORY]
    new = now.drop_nulls().filter(~now.drop_nulls().is_in(known))
    if new.len():
        words = sorted(new.unique().to_list())
        listed = ", ".join(words[:SHOWN_WORDS]) + (
            f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
        )
        share = new.len() / now.len()
        yield Finding(
            "warning" if share >= MANY else "info",
            column.name,
            f"{column.name} has words that training never saw in {share:.1%} of the rows ({listed}); they are scored as unknown. A retraining "
            "learns them",
        )


def _out_of_range(now: pl.Series, column: Column) -> Iterator[Finding]:
    values = now.cast(pl.Float64, strict=False).drop_nulls()
    outside = values.is_nan() | values.is_infinite()
    if column.low is not None:
        outside |= values < column.low
    if column.high is not None:
        outside |= values > column.high
    if number := int(outside.sum()):
        low, high = ("any" if bound is None else f"{bound:g}" for bound in (column.low, column.high))
        yield Finding(
            "warning" if number / now.len() >= MANY else "info",
            column.name,
            f"{column.name} is out of its range in {number:,} rows; expected {low} to {high}. Look at where it comes from",
        )


def _missing(values: pl.Series) -> int:
    empty = int((values == MISSING_CATEGORY).sum()) if values.dtype == pl.String else 0
    return values.null_count() + empty


def without_reference() -> Finding:
    """That nothing could be compared."""
    return Finding(
        "critical",
        None,
        "the reference can't be read, so nothing was compared with it; `churn baseline show` says whose it is",
    )
