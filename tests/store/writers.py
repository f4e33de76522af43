"""Processes that write releases, and are killed at a step or meet at one.

Belongs here: what runs in such a process. They are forked from a server that has imported all this once, so that a hundred of
them take seconds.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg  # noqa: F401 - so that no process needs to import it
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401 - likewise

from churn_store.database.schema import connect
from churn_store.errors import FencedError
from churn_store.releases.approval import approve
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import stage
from churn_store.releases.challenge import challenge, end_challenge
from churn_store.releases.log import publish
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.releases.rollback import roll_back
from churn_store.storage.digest_store import DigestStore

FORKS: Any = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])

PROMOTIONS: dict[str, Callable[..., Any]] = {one.__name__: one for one in (approve, challenge, end_challenge, roll_back)}


def killed(step: str, work: Callable[..., Any], *args: Any, **asked: Any) -> bool:
    """Whether a process that does the work was killed with SIGKILL when it reached the step; otherwise it came to its end."""
    process = FORKS.Process(target=_work_until, args=(step, work, args, asked))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return bool(process.exitcode)


def together(steps: tuple[str, ...], work: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]) -> list[str]:
    """What came of each work, ``won`` or ``fenced``, where a process each does it and all wait for each other at one of the steps."""
    barrier, said = FORKS.Barrier(len(work)), FORKS.SimpleQueue()
    processes = [FORKS.Process(target=_meet, args=(steps, barrier, said, *one)) for one in work]
    for process in processes:
        process.start()
    found = [said.get() for _ in processes]
    for process in processes:
        process.join(60)
    return sorted(found)


def make_and_publish(
    url: str, root: str, contents: dict[str, bytes], manifest: bytes, blessing: bytes, *, read_epoch: int, reached: Any
) -> None:
    """All that a candidate goes through until it serves."""
    engine, files = connect(url), DigestStore(root)
    staged = stage(files, contents, msgspec.json.decode(manifest, type=Manifest), reached=reached)
    said = msgspec.structs.replace(msgspec.json.decode(blessing, type=Blessing), candidate=staged.candidate)
    record_blessing(engine, said, reached=reached)
    publish(engine, files, staged, said, read_epoch=read_epoch, actor="process", reason="test", now_s=0, reached=reached)


def publish_as(url: str, root: str, manifest: bytes, blessing: bytes, *, read_epoch: int, reached: Any) -> None:
    """Publish a candidate that is staged and judged."""
    publish(
        connect(url), DigestStore(root), msgspec.json.decode(manifest, type=Manifest),
        msgspec.json.decode(blessing, type=Blessing), read_epoch=read_epoch, actor="process", reason="race", now_s=0, reached=reached,
    )  # fmt: skip


def promote(url: str, root: str, name: str, *args: Any, **asked: Any) -> None:
    """What a named person may ask for, by its name."""
    PROMOTIONS[name](connect(url), DigestStore(root), *args, **asked)


def _work_until(step: str, work: Callable[..., Any], args: tuple[Any, ...], asked: dict[str, Any]) -> None:
    def reached(found: str) -> None:
        if found == step:
            os.kill(os.getpid(), signal.SIGKILL)

    work(*args, **asked, reached=reached)


def _meet(
    steps: tuple[str, ...], barrier: Any, said: Any, work: Callable[..., Any], args: tuple[Any, ...], asked: dict[str, Any]
) -> None:
    def reached(found: str) -> None:
        if found in steps:
            barrier.wait(30)

    try:
        work(*args, **asked, reached=reached)
    except FencedError:
        said.put("fenced")
    except BaseException as error:
        said.put(f"{type(error).__name__}: {error}")
        raise
    else:
        said.put("won")
