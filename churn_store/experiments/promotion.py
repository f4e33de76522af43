"""Promotion: the challenger of a won experiment becomes the champion, by one row of ``releases``.

Belongs here: which experiment may be promoted. Does not belong here: who may be champion at all (``releases.approval``).
"""

import sqlalchemy as sa

from churn_store.errors import InputError
from churn_store.experiments.history import read, with_row
from churn_store.experiments.lifecycle import with_control
from churn_store.experiments.record import Record
from churn_store.experiments.results import results
from churn_store.releases.approval import approve
from churn_store.releases.attribution import require_name, require_reason
from churn_store.storage.digest_store import DigestStore


def promote(
    engine: sa.Engine, files: DigestStore, name: str, *, by: str, reason: str, now_s: int, override: bool = False
) -> Record:
    """Make the challenger of a won experiment the champion; the experiment and its challenge end with it.

    The row of ``releases`` and that of the experiment are one transaction. Asked again, it changes nothing.

    Args:
        engine: the serving database.
        files: the release files.
        name: name of the experiment.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        override: whether a rejected candidate may be champion, as in ``releases.approval.approve``; it replaces no result.

    Raises:
        InputError: if the results say anything but ``better``, customers are left out as published labels can't be read, or another champion serves than the control.
        FencedError: if another decision was faster.
        ReleaseError: if the challenger's files are missing or changed.
    """
    by, reason = require_name(by), require_reason(reason)
    record = read(engine, name)
    plan = record.experiment
    if record.is_promoted:
        return record
    if plan.challenger is None:
        raise InputError(f"experiment {name} compares actions, so it has no release to promote")
    serving = with_control(engine, files, plan)
    if serving is None:
        raise InputError(f"another champion serves than the control of experiment {name}; create another experiment")
    found = results(engine, lambda: files, record, now_s=now_s)
    if found.verdict != "better":
        raise InputError(f"experiment {name} is not won. {found.words}")
    if found.sources.left_out:
        raise InputError(
            f"experiment {name} is not promoted while labels of the lake can't be read, as customers are left out: {found.sources.unread[0]}"
        )
    event = record.next_event("promoted", by=by, reason=reason, at_s=now_s, found=found.words)
    approve(
        engine,
        files,
        plan.challenger,
        by=by,
        reason=f"experiment {name} is won: {reason}",
        now_s=now_s,
        override=override,
        read_epoch=serving.epoch,
        also=with_row(event),
    )
    return read(engine, name)
