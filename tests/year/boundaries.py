"""Where a process of the platform can die besides Dagster's events, and where a disk that can't be written is felt.

Each wrapped function is the platform's own; it is called between two boundaries. Belongs here: which functions, and the steps of a
release by their names. Does not belong here: when a process dies (``steps``).
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dagster._core.execution.plan.active import ActiveExecution
from sqlalchemy.exc import OperationalError

from churn_assets.champion import assets as candidate_assets
from churn_assets.champion import blessing_asset, champion_asset
from churn_assets.lake.lake import Lake
from churn_assets.monitoring import window_drawing
from churn_assets.monitoring.evidently_report import Drawing
from churn_assets.orchestration import lost_periods
from churn_assets.scoring import assets as scoring_assets
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import write_snapshot
from tests.year.dagster_storage import OTHERS
from tests.year.machine import MACHINE, Part


def between(name: str, call: Callable[..., Any], disk: Part | None = None) -> Callable[..., Any]:
    """A function between two boundaries, that can't write while its disk is read-only."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        MACHINE.boundary(f"before {name}")
        if disk is not None and disk in MACHINE.away:
            raise OSError(errno.EROFS, "Read-only file system")
        result = call(*args, **kwargs)
        MACHINE.boundary(f"after {name}")
        return result

    return wrapped


def _try_again_at_once(execution: ActiveExecution) -> None:
    """Repeat a step that failed without the pause before it: nothing changes meanwhile."""
    execution._waiting_to_retry.update(dict.fromkeys(execution._waiting_to_retry, 0.0))


def _while_others_go_on(condition: Callable[[], bool], **_: float) -> bool:
    """Wait for another run as ``wait_while`` does, where nothing happens by itself."""
    while condition():
        if not OTHERS[-1]():
            return False
    return True


def _undrawn(*_: Any, **__: Any) -> Drawing:
    """No drawing for people, which costs more than all that is looked at here, and decides nothing."""
    return Drawing(page=None, figures=None, empty=())


@contextmanager
def installed_boundaries(serving_url: str) -> Iterator[None]:
    """Put the boundaries in; taken out at the end."""
    serving_file = sa.make_url(serving_url).database

    def asked(connection: sa.Connection, *_: Any) -> None:
        if connection.engine.url.database == serving_file:
            MACHINE.alive()
            if "the serving database" in MACHINE.away:
                raise OperationalError("unable to open database file", None, sqlite3.OperationalError("it is away"))

    def committed(connection: sa.Connection) -> None:
        if connection.engine.url.database == serving_file:
            MACHINE.boundary("before the serving database commits")

    unlink = Path.unlink

    def removed(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".jsonl":
            MACHINE.boundary("before a shipped segment of the spool is removed")
        unlink(self, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        replace = Lake._write
        patch.setattr(Lake, "_write", between("a commit of the lake", replace, "the lake's disk"))
        patch.setattr(DigestStore, "put", between("a file of the store is written", DigestStore.put, "the store's disk"))
        snapshot = between("the online features are replaced", write_snapshot)
        patch.setattr(scoring_assets, "write_snapshot", snapshot)
        for module, name in ((candidate_assets, "stage"), (blessing_asset, "record_blessing"), (champion_asset, "publish")):
            patch.setattr(module, name, partial(getattr(module, name), reached=MACHINE.boundary))
        patch.setattr(Path, "unlink", removed)
        patch.setattr(window_drawing, "draw", _undrawn)
        patch.setattr(lost_periods, "wait_while", _while_others_go_on)
        patch.setattr(ActiveExecution, "sleep_til_ready", _try_again_at_once)
        sa.event.listen(sa.Engine, "before_cursor_execute", asked)
        sa.event.listen(sa.Engine, "commit", committed)
        try:
            yield
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", asked)
            sa.event.remove(sa.Engine, "commit", committed)
