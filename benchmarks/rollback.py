"""How soon a rollback is in every answer, and whether a request suffers from it: ``python benchmarks/rollback.py``.

Two real services (``churn serve``) on one installation answer predictions, single and in batches, from some connections. In each
round a champion and a challenger with 40 % of the customers serve, and ``churn rollback`` puts the former champion back. Timed
are the command, and from the row in the table ``releases`` to the last request that was still answered by what was taken back.

Exit status: 0 if every round took less than two seconds from the row on, no request failed, and no answer mixed two releases.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AT_MOST_S = 2.0
PAUSE_S = 0.005
"""Between the requests of a connection: the command shall find a machine that works, not one that is drowned by this driver."""

CUSTOMERS = [f"c{i}" for i in range(20)]


def main() -> int:
    """Measure and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="Rollback under load.")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=4, help="to each of the two services")
    chosen = options.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
        return measure(Path(folder), chosen.rounds, chosen.connections)


def _is_newer(installation: Any, epoch: int) -> bool:
    newest: int = installation.newest_epoch()
    return newest > epoch


def measure(folder: Path, rounds: int, connections: int) -> int:
    """Set up, drive, print."""
    from tests.api.conftest import Installation  # noqa: PLC0415
    from tests.api.load import Load, mixed  # noqa: PLC0415
    from tests.api.processes import run, serving  # noqa: PLC0415
    from tests.release_factory import train  # noqa: PLC0415

    good, bad, challenger = train(), train(seed=5), train(seed=9)
    is_good = True
    print(f"{'round':>5}{'command s':>11}{'row to last answer s':>22}{'requests/s':>12}{'failed':>8}{'mixed':>7}")
    with Installation.make(folder, poll_s=0.5, ship_s=1.0) as installation:
        installation.release(good)
        installation.put_online()
        with serving(folder) as one, serving(folder) as another:
            for round_ in range(1, rounds + 1):
                installation.release(bad)
                epoch = installation.challenge(challenger, 0.4).epoch
                key = installation.keys["both"].key
                for worker in (one, another):
                    while worker.until("/model/version", 200, key=key)["epoch"] < epoch:
                        time.sleep(0.1)
                begun = time.monotonic()
                with Load([one, another], key, CUSTOMERS, connections=connections, pause_s=PAUSE_S) as load:
                    time.sleep(1.5)
                    row = Watch(partial(_is_newer, installation, epoch))
                    called = time.monotonic()
                    done = run(folder, "rollback", "--by", "Bench", "--reason", f"round {round_}")
                    command_s = time.monotonic() - called
                    time.sleep(AT_MOST_S + 0.3)
                took_s = time.monotonic() - begun
                if done.returncode != 0:
                    print(done.stderr, file=sys.stderr)
                    return 1
                former = max((seen.begun for seen in load.seen if seen.epoch == epoch), default=row.seen_s)
                last_s, strange = max(former - row.seen_s, 0.0), len(mixed(load.seen))
                by = {seen.epoch for seen in load.seen}
                is_good &= last_s < AT_MOST_S and not load.failed and not strange and by == {epoch, epoch + 1}
                print(
                    f"{round_:5}{command_s:11.2f}{last_s:22.2f}{load.requests / took_s:12,.0f}{len(load.failed):8}{strange:7}"
                )
    print(
        f"every rollback in all answers within {AT_MOST_S:g} s, nothing failed, nothing mixed: {'yes' if is_good else 'NO'}"
    )
    return 0 if is_good else 1


class Watch:
    """Looks for something without a pause, and remembers when it was first there.

    Args:
        reached: what is looked for.
    """

    def __init__(self, reached: Callable[[], bool]) -> None:
        self._reached = reached
        self._found = threading.Event()
        self._seen_s = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    @property
    def seen_s(self) -> float:
        """When it was there, by ``time.monotonic``."""
        if not self._found.wait(10):
            raise TimeoutError("the rollback added no row")
        return self._seen_s

    def _look(self) -> None:
        while not self._reached():
            time.sleep(0.005)
        self._seen_s = time.monotonic()
        self._found.set()


if __name__ == "__main__":
    sys.exit(main())
