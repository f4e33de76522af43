"""How long after a month has begun customers are answered from its snapshot, stage by stage: ``make bench-month``.

A company in an empty folder is brought up by ``churn demo``. Then a code server, Dagster's daemon and the service run as processes of
their own, and the clock is set to the next month. Timed are, for each stage on the way to an answer: until the sensor has asked for it,
until the queue let it go, until its process had begun, and its work; then until the service answers a customer by id from the new
snapshot. The start of the code server is timed apart: it is paid once, and not in a month's step.

Exit status: 0 if the way from the clock to the answer took at most ``--limit`` seconds.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHURN = Path(sys.executable).with_name("churn")
FIRST, NEXT = "2026-01-01", "2026-02-01"
STAGES = ("ingest", "build_features", "score")
"""The jobs on the way to an answer, in order; labels, training and reports run beside them."""

SETTLED_WITHIN_S, SERVED_WITHIN_S = 1_800.0, 900.0


@dataclass(frozen=True)
class Stage:
    """The times of a stage, in seconds of the epoch.

    Attributes:
        name: name of the job.
        due: end of what came before it.
        asked: when its run was made.
        dequeued: when the queue let it go.
        began: when its process began to work.
        ended: when it had ended.
    """

    name: str
    due: float
    asked: float
    dequeued: float
    began: float
    ended: float

    def line(self) -> str:
        """The seconds as a line of the table."""
        parts = (self.asked - self.due, self.dequeued - self.asked, self.began - self.dequeued, self.ended - self.began)
        return f"{self.name:<16}" + "".join(f"{part:>12.1f}" for part in parts) + f"{self.ended - self.due:>12.1f}"


def main() -> int:
    """Measure and print; see the module for the exit status."""
    options = argparse.ArgumentParser(description="From a month's first day to an answer from its snapshot.")
    options.add_argument("--limit", type=float, default=60.0, help="seconds from the clock to the answer")
    options.add_argument(
        "--folder", type=Path, help="a folder that `churn demo --as-of 2026-01-01` has brought up; it is changed"
    )
    options.add_argument("--customers", type=int, help="size of the company; default: the default company")
    chosen = options.parse_args()
    sys.path.insert(0, str(ROOT))
    for name in [name for name in os.environ if name.startswith(("CHURN_", "DAGSTER_HOME"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="churn-bench-") as empty:
        folder = chosen.folder.absolute() if chosen.folder else Path(empty)
        if chosen.folder is None:
            bring_up(folder, chosen.customers)
        return measure(folder, chosen.limit)


def bring_up(folder: Path, customers: int | None) -> None:
    """A company with its first release and scores."""
    import yaml  # noqa: PLC0415

    source: dict[str, Any] = {"kind": "synthetic", **({"customers": customers} if customers else {})}
    (folder / "churn.yaml").write_text(yaml.safe_dump({"company": "synthetic", "source": source}), encoding="utf-8")
    for file in ("dagster.yaml", "workspace.yaml"):
        (folder / file).write_text((ROOT / file).read_text(encoding="utf-8"), encoding="utf-8")
    print("bringing up the company (churn demo)", flush=True)
    done = subprocess.run([CHURN, "demo", "--as-of", FIRST], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"churn demo failed:\n{done.stdout}{done.stderr}")


def measure(folder: Path, limit_s: float) -> int:
    """Start everything, set the clock, follow the runs, print."""
    from churn_assets.resources.service_process import free_port, key_in_file, serving  # noqa: PLC0415
    from tests.night.installation import night, wait_until  # noqa: PLC0415

    with chdir(folder), night(folder) as plant:
        key = key_in_file(plant.settings.home / "api-key", plant.settings.database_url)
        begun = time.monotonic()
        plant.start_code_server()
        print(f"start of the code server, apart: {time.monotonic() - begun:.1f} s", flush=True)
        plant.start_daemon()
        plant.wait_until_quiet(within_s=SETTLED_WITHIN_S)
        before = {run.run_id for run in plant.runs()}
        with serving(free_port(), folder / "service.log", key=key) as client:
            scores = plant.lake.read("churn_scores", FIRST)
            customer = scores["customer_id"][0]
            busy = os.getloadavg()[0]
            set_at = time.time()
            plant.set_clock(NEXT)

            def answered() -> bool:
                # Who was at risk may have left since: any customer of the new snapshot will do, and most stay in it.
                status, answer = client.ask(f"/predict/{customer}")
                return (status == 200 and str(answer["snapshot"]).startswith(NEXT)) or (status == 404 and is_new())

            def is_new() -> bool:
                status, answer = client.ask("/predict/batch", {"customer_ids": scores["customer_id"].head(20).to_list()})
                return status == 200 and str(answer["snapshot"]).startswith(NEXT)

            wait_until(answered, within_s=SERVED_WITHIN_S, said=f"the service answers from {NEXT}", poll_s=0.1)
            served_at = time.time()
        stages = stages_of(plant, before, set_at)
        load = os.getloadavg()[0]
    took = served_at - set_at
    print(f"\n{'stage':<16}{'seen s':>12}{'queued s':>12}{'starting s':>12}{'work s':>12}{'all s':>12}")
    print("\n".join(stage.line() for stage in stages))
    print(f"{'served':<16}{'':>48}{served_at - stages[-1].ended:>12.1f}")
    print(
        f"{'clock to answer':<16}{'':>48}{took:>12.1f}   limit {limit_s:g} s: {'kept' if took <= limit_s else 'NOT KEPT'}"
    )
    print(f"load of the machine before and after: {busy:.1f} and {load:.1f} on {os.cpu_count()} cores")
    return 0 if took <= limit_s else 1


def stages_of(plant: Any, before: set[str], set_at: float) -> list[Stage]:
    """The times of each stage's run, from what Dagster remembers of them."""
    import dagster as dg  # noqa: PLC0415

    found, due = [], set_at
    for job in STAGES:
        [run] = [run for run in plant.runs(job) if run.run_id not in before]
        times: dict[Any, float] = {}
        for entry in plant.instance.all_logs(run.run_id):
            if entry.dagster_event is not None:
                times.setdefault(entry.dagster_event.event_type, entry.timestamp)
        kind = dg.DagsterEventType
        stage = Stage(
            job,
            due,
            times.get(kind.PIPELINE_ENQUEUED, due),
            times[kind.PIPELINE_STARTING],
            times[kind.STEP_START],
            times.get(kind.PIPELINE_SUCCESS, dt.datetime.now(dt.UTC).timestamp()),
        )
        found.append(stage)
        due = stage.ended
    return found


if __name__ == "__main__":
    sys.exit(main())
