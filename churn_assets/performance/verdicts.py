"""What people are told of the snapshots: a state and a sentence for each series, and one verdict over all.

``fine`` is said only where something was judged. What could not be judged, or has changed since, is ``unknown``.

Belongs here: the words, and what they follow from. Does not belong here: the rule (``degradation``), the figures (``history``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from churn_assets.lake.lake import Lake
from churn_assets.performance.degradation import Point, Rule, Series, Step, detect
from churn_assets.performance.history import Row, by_snapshot, read_history
from churn_store.monitoring.facts import SnapshotPerformance, State, Verdict

NAME: Final = "performance"

NO_BETTER_THAN_CHANCE: Final = 0.5
"""AUC of scores that tell nobody apart."""
"""Name of the verdict and of the report."""

NOTHING_JUDGED: Final = "Unknown: no snapshot was judged yet; the first is once its labels are mature."


def snapshot_performances(lake: Lake, newest: int, *, labels: Mapping[str, str] | None = None) -> list[SnapshotPerformance]:
    """What is known of the newest mature snapshots, the oldest first; of a snapshot all customers of a release before its arms and segments.

    Args:
        lake: lake of the company.
        newest: number of snapshots.
        labels: sha256 of the labels that are published now, by snapshot; a snapshot that was judged by others is unknown. Default: they
            are taken to be the same.

    Raises:
        LostError: if the table is damaged.
        StoreAwayError: if the object store does not answer.
    """
    return performances(read_history(lake), labels=labels, newest=newest)


def performances(
    rows: Sequence[Row], *, labels: Mapping[str, str] | None = None, newest: int | None = None
) -> list[SnapshotPerformance]:
    """The rows of the table with their states.

    Args:
        rows: all rows, the oldest snapshot first.
        labels: as in ``snapshot_performances``.
        newest: number of the newest snapshots that are wanted; default: all.
    """
    snapshots = by_snapshot(rows)
    current = {key: [_current(row, labels) for row in of_key] for key, of_key in snapshots.items()}
    steps, fault = _steps(list(current.values()))
    found = []
    since: dict[Series, str] = {}
    for (key, of_key), of_step in zip(current.items(), steps, strict=True):
        for row in of_key:
            step = of_step.get(row.series)
            if step is None or not step.is_degraded:
                since.pop(row.series, None)
            else:
                since.setdefault(row.series, key)
            found.append(_performance(row, step, fault, since.get(row.series)))
    wanted = set(snapshots if newest is None else list(snapshots)[max(0, len(snapshots) - newest) :])
    return [one for one in found if one.snapshot in wanted]


def verdict(found: Sequence[SnapshotPerformance], *, as_of_s: int, release: str | None = None) -> Verdict:
    """The verdict over the newest snapshot: of the release that serves where it was judged there, else of the one that was.

    Args:
        found: what is known of the snapshots, the oldest first.
        as_of_s: time by the platform's clock, in epoch seconds.
        release: digest of the release that serves now.
    """
    if not found:
        return Verdict(name=NAME, state="unknown", sentence=NOTHING_JUDGED, snapshot=None, release=release, as_of_s=as_of_s)
    newest = found[-1].snapshot
    of_newest = [one for one in found if one.snapshot == newest]
    whole = [one for one in of_newest if one.arm is None and one.segment is None]
    chosen = next(
        (one for one in whole if one.release == release), max(whole, key=lambda one: one.rows, default=of_newest[0])
    )
    parts = [one for one in of_newest if one.release == chosen.release and one is not chosen and one.state == "attention"]
    state, sentence = chosen.state, chosen.sentence
    if parts:
        named = ", ".join(str(one.segment or one.arm) for one in parts)
        state, sentence = (
            "attention",
            f"{sentence} Degraded among {named}."
            if state == "attention"
            else f"Degraded among {named}. Of all: {sentence}",
        )
    if release and chosen.release and chosen.release != release:
        sentence = f"{sentence} That is of release {chosen.release[:12]}; the one that serves now, {release[:12]}, has no mature snapshot yet."
        state = "unknown" if state == "fine" else state
    return Verdict(
        name=NAME, state=state, sentence=sentence, snapshot=newest, release=chosen.release or None, as_of_s=as_of_s
    )


def _current(row: Row, labels: Mapping[str, str] | None) -> Row:
    """A row, without its point where its labels have changed since."""
    if labels is None or not row.labels or labels.get(row.snapshot) == row.labels:
        return row
    return msgspec.structs.replace(
        row, point=None, lacking="the labels were restated since, and the snapshot is judged again"
    )


def _steps(snapshots: Sequence[Sequence[Row]]) -> tuple[list[dict[Series, Step]], str]:
    """The steps of each snapshot by the newest rule, and why there are none."""
    if not snapshots:
        return [], ""
    rule: Rule = snapshots[-1][-1].rule
    points: list[dict[Series, Point]] = [
        {row.series: row.point for row in rows if row.point is not None} for rows in snapshots
    ]
    try:
        return detect(points, rule), ""
    except Exception as error:  # a detector that crashes must never look fine
        return [{} for _ in snapshots], f"the detector of degradation failed ({type(error).__name__}: {error})"


def _performance(row: Row, step: Step | None, fault: str, since: str | None) -> SnapshotPerformance:
    state, sentence = _judged(row, step, fault, since)
    return SnapshotPerformance(
        snapshot=row.snapshot,
        release=row.series.release,
        arm=row.series.arm,
        segment=row.series.segment,
        rows=row.rows,
        effective_rows=row.effective_rows,
        state=state,
        sentence=sentence,
        measures=row.measures,
        promised=row.promised,
        seen=row.seen,
    )


def _judged(row: Row, step: Step | None, fault: str, since: str | None) -> tuple[State, str]:
    """The state of a row and its sentence."""
    lacking = row.lacking or fault
    if step is None or row.point is None or lacking:
        return "unknown", f"Unknown: {lacking or 'nothing was measured'}."
    point = row.point
    found = (
        f"at a churn rate of {row.seen or 0:.1%} the log loss is {point.promised + point.excess:.4f} where the gate's figure promises "
        f"{point.promised:.4f} for these customers ({point.excess:+.4f}; up to {step.allowed:+.4f} says nothing)"
    )
    if not step.is_degraded:
        blind = _tells_nobody_apart(row)
        return ("unknown", f"Unknown: {blind}.") if blind else ("fine", f"As promised: {found}.")
    return (
        "attention",
        f"Degraded{f' since {since}' if since else ''}: {found}. Look at what changed in the world since, and retrain.",
    )


def _tells_nobody_apart(row: Row) -> str:
    """Why scores say nothing where the gate found that they did; empty where they do.

    The excess compares scores with their own entropy, so it is 0 for scores that have all become the churn rate.
    """
    now, then = row.measures.get("auc"), row.details.gate.get("auc")
    if now is None or then is None or now.low is None or now.low > NO_BETTER_THAN_CHANCE:
        return ""
    if (then.value if then.low is None else then.low) <= NO_BETTER_THAN_CHANCE:
        return ""
    return (
        f"the scores tell nobody apart any more: AUC {now.value:.3f}, which may be {now.low:.3f}, where the gate found {then.value:.3f}. The log loss of "
        "such scores proves nothing; look at what was served, by churn skew and the drift of the features"
    )
