"""What a folder's ``dagster.yaml`` lacks beside the one that the platform brings, and the lines to put in.

A folder whose file is older goes on working, one run at a time. Belongs here: the comparison. Does not belong here: the instance that
is made from the file (``instance``).
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from churn_assets.orchestration.dagster_internals import is_dagster_home_set
from churn_store.errors import AbsentError, InputError

SLOTS = 2
SLOW_S = 120
"""Dagster's own interval between two looks at the runs' workers."""

FILE = "dagster.yaml"
BLOCKS = ("concurrency", "run_queue", "run_launcher", "run_monitoring", "retention")
"""The blocks that decide how soon a stage follows the one before, and how soon a run that died is repeated."""


def advice(folder: Path) -> str:
    """What to put into the ``dagster.yaml`` in force; empty if nothing is lacking.

    Args:
        folder: folder of the file, used if ``DAGSTER_HOME`` is not set.

    Raises:
        InputError: if it lets two runs write the same tables at once.
    """
    file = (Path(os.environ["DAGSTER_HOME"]) if is_dagster_home_set() else folder) / FILE
    if not file.exists():
        return ""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(
            f"{file} is no YAML ({' '.join(str(error).split())[:120]}); write it anew from the platform's own"
        ) from error
    if not isinstance(found, Mapping):
        raise InputError(f"{file} is no YAML mapping; write it anew from the platform's own")
    lacking = [block for block in BLOCKS if not _is_enough(block, found.get(block))]
    if not lacking:
        return ""
    lines = _shipped_lines(lacking)
    if _most_runs(found) != 1 and "concurrency" in lacking:
        raise InputError(
            f"{file} lets several runs write the same tables at once: it has no pools. Replace these blocks in it, and start the daemon "
            f"anew:\n{lines}"
        )
    return f"{file} is older than the platform: stages wait for each other. Replace these blocks in it, and start the daemon anew:\n{lines}"


def instance_file_in_words(folder: Path) -> str:
    """That the file in force has what it needs.

    Raises:
        AbsentError: if it is older; with the lines to put in.
        InputError: if it lets two runs write the same tables at once.
    """
    if said := advice(folder):
        raise AbsentError(said)
    return f"{SLOTS} runs at a time, of one pool one"


def _is_enough(block: str, given: Any) -> bool:
    if not isinstance(given, Mapping):
        return False
    if block == "concurrency":
        runs, pools = given.get("runs") or {}, given.get("pools") or {}
        most = runs.get("max_concurrent_runs", 0)
        return most >= SLOTS and pools.get("granularity") == "run" and pools.get("default_limit") == 1
    if block == "run_queue":
        return given.get("dequeue_interval_seconds") == 1
    if block == "run_launcher":
        return bool(given.get("class"))
    if block == "run_monitoring":
        return given.get("enabled") is True and given.get("poll_interval_seconds", SLOW_S) < SLOW_S
    return isinstance((given.get("sensor") or {}).get("purge_after_days"), Mapping)


def _most_runs(found: Mapping[str, Any]) -> int | None:
    runs = (found.get("concurrency") or {}).get("runs") or {}
    return runs.get("max_concurrent_runs")


def _shipped_lines(blocks: list[str]) -> str:
    """Blocks of the platform's own file, as they stand in it."""
    text = (resources.files("churn_assets.inspection") / "templates" / FILE).read_text(encoding="utf-8")
    taken, kept = False, []
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            taken = line.partition(":")[0] in blocks
        if taken and not line.startswith("#"):
            kept.append(f"    {line}")
    return "\n".join(kept)
