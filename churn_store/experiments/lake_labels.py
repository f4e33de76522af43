"""Which label of the lake tells about a prediction: that of the snapshot whose features the prediction used, and no other.

A label of snapshot T says whether a customer who was at risk at T left in [T, T + horizon). A prediction by the features of T is about that
window, and an outcome posted for it as well. A later snapshot has no label of those who left before it, so that it would count survivors
only. An earlier one looks at days before the prediction. So:

- the label is that of the prediction's own snapshot, with the experiment's own horizon; labels of another horizon don't count;
- it counts once it is mature by the platform's clock, for those who left and for those who stayed at the same moment;
- who had left before T has no label, and so no outcome; who left after T and before the first request is known by the moment of leaving,
  and counts in no arm. Where churn is inactivity there is no such moment, in either arm, so that an effect looks smaller, never greater;
- a prediction by attributes that were sent has no snapshot, and no label is guessed for it.

Belongs here: finding the label, and what is said where there is none. Does not belong here: the files (``outcomes.published_labels``), and
how label and posted outcome are weighed (``exposures``).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from churn_store.errors import ChurnError
from churn_store.outcomes.published_labels import (
    ASSET,
    Label,
    SnapshotLabels,
    UnreadableLabelsError,
    name_of,
    open_labels,
    published_snapshots,
)
from churn_store.storage.digest_store import DigestStore

OPEN_AT_ONCE: Final = 3
"""Files in memory at once. Predictions are read in the order of time, so their snapshots follow one another."""

SHOWN: Final = 3
"""Most snapshots that a sentence names."""

Lacking = Literal["unpublished", "immature", "other_horizon", "unreadable"]
"""Why a snapshot's labels don't count."""


class LakeLabels:
    """The published labels as an experiment may use them. A file that can't be read is left out and named, and the others count.

    Args:
        files: function that opens the release files; asked once a label is needed.
        horizon_days: days after which the experiment knows an outcome.
        now_s: time by the platform's clock, in epoch seconds.
    """

    def __init__(self, files: Callable[[], DigestStore], *, horizon_days: int, now_s: float) -> None:
        self._store = files
        self._files: DigestStore | None = None
        self._horizon_days = horizon_days
        self._now_s = now_s
        self._published: list[str] | None = None
        self._open: OrderedDict[int, SnapshotLabels] = OrderedDict()
        self._lacking: dict[int, Lacking] = {}
        self._waiting: Counter[int] = Counter()
        self._definitions: set[str] = set()
        self._horizons: set[int] = set()
        self._without_snapshot = 0
        self._is_away = False
        self.unread: list[str] = []

    def of(self, asked: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Label]:
        """The labels of customers at snapshots, given in epoch seconds; those who have none are left out."""
        by_snapshot: dict[int, list[str]] = {}
        for customer_id, snapshot_s in asked:
            by_snapshot.setdefault(snapshot_s, []).append(customer_id)
        found = {}
        for snapshot_s, customers in by_snapshot.items():
            labels = self._labels(snapshot_s)
            if labels is None:
                continue
            try:
                told = labels.of(customers)
            except ChurnError as error:
                self._leave_out(snapshot_s, error)
                continue
            found.update({(customer_id, snapshot_s): label for customer_id, label in told.items()})
        return found

    def note_unknown(self, snapshot_s: int | None) -> None:
        """Count a customer whose window has closed and of whom neither an outcome nor a label is known."""
        if snapshot_s is None:
            self._without_snapshot += 1
        elif snapshot_s in self._lacking:
            self._waiting[snapshot_s] += 1

    @property
    def left_out(self) -> int:
        """Customers who have no outcome because published labels can't be read."""
        return sum(self._waiting[snapshot_s] for snapshot_s in self._because("unreadable"))

    def words(self) -> list[str]:
        """What has to be known of the labels to read the results, in sentences."""
        said = [f"{text[:1].upper()}{text[1:]}." for text in self.unread]
        if self.left_out:
            said.append(f"{self.left_out:,} customers whose window has closed have no outcome because of that.")
        if self._published == [] and self._waiting:
            said.append(
                f"No labels of the lake are published yet, so posted outcomes count alone; the asset {ASSET} publishes those of each "
                "snapshot that is mature."
            )
        elif waiting := self._because("unpublished", "immature"):
            said.append(f"The labels of {_named(waiting)} are not published yet; posted outcomes count alone there.")
        if others := self._because("other_horizon"):
            horizons = " or ".join(str(days) for days in sorted(self._horizons))
            said.append(
                f"The labels of {_named(others)} look {horizons} days ahead and the experiment {self._horizon_days}, so they don't count."
            )
        if len(self._definitions) > 1:
            said.append(f"Labels of several definitions of churn count together: {'; '.join(sorted(self._definitions))}.")
        if self._definitions and self._without_snapshot:
            said.append(
                f"{self._without_snapshot:,} were asked about by attributes, so that no label of the lake is about them; post their outcomes."
            )
        return said

    def close(self) -> None:
        """Free the memory of the files."""
        while self._open:
            self._open.popitem()[1].close()

    def _because(self, *reasons: Lacking) -> list[int]:
        """The snapshots with such a reason for which customers wait."""
        return sorted(snapshot_s for snapshot_s in self._waiting if self._lacking[snapshot_s] in reasons)

    def _labels(self, snapshot_s: int) -> SnapshotLabels | None:
        if snapshot_s in self._lacking:
            return None
        if snapshot_s in self._open:
            self._open.move_to_end(snapshot_s)
            return self._open[snapshot_s]
        try:
            labels = self._opened(snapshot_s)
        except (ChurnError, OSError) as error:
            self._leave_out(snapshot_s, error)
            return None
        if isinstance(labels, SnapshotLabels):
            self._open[snapshot_s] = labels
            if len(self._open) > OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
            return labels
        self._lacking[snapshot_s] = labels
        return None

    def _opened(self, snapshot_s: int) -> SnapshotLabels | Lacking:
        if self._is_away:
            return "unreadable"
        files = self._files = self._files or self._store()
        if self._published is None:
            self._published = published_snapshots(files)
        name = name_of(snapshot_s)
        labels = open_labels(files, name) if name in self._published else None
        if labels is None:
            return "unpublished"
        lacking = self._unusable(labels, snapshot_s)
        if lacking is not None:
            labels.close()
            return lacking
        self._definitions.add(labels.about.definition)
        return labels

    def _unusable(self, labels: SnapshotLabels, snapshot_s: int) -> Lacking | None:
        if labels.about.snapshot_s != snapshot_s:
            return "unpublished"
        if labels.about.matured_s > self._now_s:
            return "immature"
        if labels.about.horizon_days != self._horizon_days:
            self._horizons.add(labels.about.horizon_days)
            return "other_horizon"
        return None

    def _leave_out(self, snapshot_s: int, error: Exception) -> None:
        """Do without a snapshot's labels, and name it; of a store that does not answer nothing more is asked."""
        if (opened := self._open.pop(snapshot_s, None)) is not None:
            opened.close()
        self._lacking[snapshot_s] = "unreadable"
        if isinstance(error, UnreadableLabelsError):
            self.unread.append(str(error))
            return
        self._is_away = True
        said = str(error) if isinstance(error, ChurnError) else f"their folder can't be read ({type(error).__name__})"
        self.unread.append(f"the labels of the lake can't be read: {said}")


def _named(snapshots: Sequence[int]) -> str:
    more = f" and {len(snapshots) - SHOWN} more" if len(snapshots) > SHOWN else ""
    return ", ".join(name_of(snapshot_s) for snapshot_s in snapshots[:SHOWN]) + more
