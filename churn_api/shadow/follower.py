"""Lets the challenger in shadow score what the champion answered, and counts how far the two agree.

A thread hands the rows to a child process (``churn_store.releases.standing_scorer``). A child that ends or hangs is killed and started again
after a pause; after several failures the release is out of the shadow until another row of ``releases`` puts it back, and what is answered counts as dropped. Nothing of it is waited for
by an answer. Does not belong here: who is in shadow (``releases.poller``) and the report (``monitoring.shadow``).
"""

import dataclasses
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import ShadowRelease
from churn_api.shadow.queue import Answered, ShadowQueue
from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.metrics import Metrics
from churn_store.releases.log import Serving
from churn_store.releases.standing_scorer import ScorerLostError, StandingScorer

State = Literal["off", "starting", "scoring", "waiting", "given up"]
"""``waiting`` is the pause before a child is started again."""

ROWS_AT_ONCE: Final = 64
"""Rows of one question to the child: so many are encoded in about 0.1 ms, for which the event loop waits at most."""

ANSWER_S: Final = 5.0
"""Time for an answer of the child; then it hangs and is killed."""

LOAD_S: Final = 60.0
"""Time for the child to start and load the model; the machine may be busy, and the child gives way to others."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Pause before a child is started again; doubled with each of the recent failures."""

MOST_FAILURES: Final = 5
WITHIN_S: Final = 600.0
"""With so many failures within this time the release is out of the shadow."""

TICK_S: Final = 0.02
IDLE_TICK_S: Final = 0.25
"""Pause between looks at the queue, and at the releases while nothing is in shadow."""

END_S: Final = 3.0


@dataclass(frozen=True)
class ShadowState:
    """What this worker's shadow does.

    Attributes:
        release: release in shadow; ``None`` without one.
        row: row of ``releases`` that put it there.
        failure: what its child did last that it should not; ``None`` if nothing.
    """

    state: State
    release: ShadowRelease | None = None
    row: Serving | None = None
    failure: str | None = None


class Shadow:
    """The shadow of one worker.

    Args:
        releases: source of the release in shadow.
        metrics: metrics that count agreement and failures.

    Attributes:
        queue: rows that were answered.
        current: what it does.
    """

    def __init__(self, releases: ReleasePoller, metrics: Metrics) -> None:
        self._releases = releases
        self.queue = ShadowQueue(metrics)
        self._metrics = metrics
        self._scorer: StandingScorer | None = None
        self._starts = 0
        self._failed_at: deque[float] = deque()
        self._not_before = 0.0
        self._largest: dict[tuple[str, str], float] = {}
        self._begun: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self.current = ShadowState("off")

    def start(self) -> None:
        """Begin to follow what is in shadow."""
        self._thread.start()

    def stop(self) -> None:
        """End the child and the thread, and wait for neither for long."""
        self._stop.set()
        self.queue.close()
        scorer = self._scorer
        if scorer is not None:
            scorer.end()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def has_given_up(self, row: Serving) -> bool:
        """Whether the release that a row put into the shadow is out of it again."""
        return self.current.state == "given up" and self.current.row == row

    def words(self) -> list[str]:
        """What is wrong with the shadow, for everybody."""
        if self.current.state == "given up":
            return [
                f"the challenger in shadow failed {MOST_FAILURES} times within {WITHIN_S / 60:.0f} minutes and is out of the shadow; PUT /ab/config with it once more tries anew"
            ]
        if self.current.state == "waiting":
            return ["the challenger in shadow failed and is started again"]
        return []

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except Exception as error:  # the thread lives on, whatever the child or the machine does
                self._failed(f"it could not be asked: {where_raised(error)}", "unexpected", [])
            self._stop.wait(IDLE_TICK_S if self.current.state in ("off", "given up") else TICK_S)
        self._drop_child()

    def _step(self) -> None:
        """Follow the release in shadow, and let it score what waits."""
        served = self._releases.current
        wanted = None if served is None else served.shadow
        if wanted is not self.current.release:
            self._begin(wanted, None if served is None else served.row)
        if wanted is None or self.current.state == "given up" or time.monotonic() < self._not_before:
            return
        if self._scorer is None and not self._start_child(wanted):
            return
        while not self._stop.is_set() and (answered := self.queue.take(ROWS_AT_ONCE)):
            if not self._score(wanted, answered):
                return

    def _begin(self, release: ShadowRelease | None, row: Serving | None) -> None:
        former = self.current
        self.queue.close()
        self._drop_child()
        self._starts, self._not_before = 0, 0.0
        self._failed_at.clear()
        if release is None:
            self.current = ShadowState("off")
            say("shadow_ended", release=None if former.release is None else former.release.short)
            return
        if release.short not in self._begun:
            begun = self._begun[release.short] = time.monotonic()
            self._metrics.shadow_age.labels(release.short).set_function(lambda: time.monotonic() - begun)
        self.current = ShadowState("starting", release, row)
        self.queue.open(release.short)
        say("shadow_begun", release=release.short)

    def _start_child(self, release: ShadowRelease) -> bool:
        if self._starts:
            self._metrics.shadow_restarts.labels(release.short).inc()
        self._starts += 1
        try:
            self._scorer = StandingScorer(release.model, release.manifest.signature, within_s=LOAD_S)
        except ScorerLostError as error:
            self._failed(str(error), error.reason, [])
            return False
        except OSError as error:
            self._failed(f"no process could be started: {where_raised(error)}", "start", [])
            return False
        self.current = dataclasses.replace(self.current, state="scoring")
        say("shadow_scores", release=release.short, process=self._scorer.pid)
        return True

    def _score(self, release: ShadowRelease, answered: list[Answered]) -> bool:
        assert self._scorer is not None  # noqa: S101 - started by the caller
        # A request that was begun before the challenger went into the shadow may have been answered by itself.
        answered = [one for one in answered if one.role.model.role == "champion"]
        try:
            scored = self._scorer.score([one.row for one in answered], within_s=ANSWER_S) if answered else []
        except Exception as error:
            if not self._stop.is_set():
                if isinstance(error, ScorerLostError):
                    self._failed(str(error), error.reason, answered)
                else:
                    self._failed(where_raised(error), "unexpected", answered)
            return False
        for one, probability in zip(answered, scored, strict=True):
            self._compare(release, one, probability)
        return True

    def _compare(self, release: ShadowRelease, answered: Answered, probability: float) -> None:
        names = release.short, answered.role.short
        if not 0.0 <= probability <= 1.0:  # also where it is not a number
            self._metrics.shadow_failed.labels(*names).inc()
            return
        difference = abs(probability - answered.probability)
        self._metrics.shadow_difference.labels(*names).observe(difference)
        agrees = (probability >= release.manifest.threshold) is answered.churn
        self._metrics.shadow_agreements.labels(*names).inc(agrees)
        if difference >= self._largest.get(names, 0.0):
            self._largest[names] = difference
            self._metrics.shadow_largest.labels(*names).set(difference)

    def _failed(self, said: str, reason: str, answered: list[Answered]) -> None:
        """Count a failure of the child and its rows, and say when, or whether, another one is started."""
        self._drop_child()
        release = self.current.release
        if release is None:
            return
        now_s = time.monotonic()
        self._failed_at.append(now_s)
        while now_s - self._failed_at[0] > WITHIN_S:
            self._failed_at.popleft()
        self._metrics.shadow_failures.labels(release.short, reason).inc()
        for one in answered:
            self._metrics.shadow_failed.labels(release.short, one.role.short).inc()
        failures = len(self._failed_at)
        if failures >= MOST_FAILURES:
            self.current = dataclasses.replace(self.current, state="given up", failure=said)
            self.queue.give_up()
            say("shadow_given_up", logging.ERROR, release=release.short, detail=said)
            return
        self._not_before = now_s + min(FIRST_PAUSE_S * 2.0 ** (failures - 1), LONGEST_PAUSE_S)
        self.current = dataclasses.replace(self.current, state="waiting", failure=said)
        say("shadow_failed", logging.WARNING, release=release.short, detail=said)

    def _drop_child(self) -> None:
        scorer, self._scorer = self._scorer, None
        if scorer is not None:
            scorer.close()
