"""Decisions about experiments: create, start, stop. A named person takes each, and its row stays for ever.

An experiment of models rides on a challenge: its start and its end are also rows of ``releases``, in the same transaction. Belongs here: which
decision is allowed when. Does not belong here: what came out (``results``), and promotion (``promotion``).
"""

import secrets

import sqlalchemy as sa

from churn_store.errors import InputError
from churn_store.experiments.history import append, insert, is_served, read, turn_of_start, with_row
from churn_store.experiments.plan import Experiment, Wish, plan
from churn_store.experiments.record import Event, Record
from churn_store.experiments.results import results
from churn_store.releases.attribution import require_name, require_reason
from churn_store.releases.bundles import load_manifest
from churn_store.releases.challenge import challenge, end_challenge, require_comparable
from churn_store.releases.log import Serving, newest
from churn_store.releases.resolve import find_manifest
from churn_store.storage.digest_store import DigestStore


def create(engine: sa.Engine, files: DigestStore, wish: Wish, *, by: str, reason: str, now_s: int) -> Record:
    """Plan an experiment; nothing is assigned before it is started.

    Args:
        engine: the serving database.
        files: the release files.
        wish: what is to be found out.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.

    Raises:
        InputError: if nothing serves, the name is taken, or the plan makes no sense; says what to do.
        ReleaseError: if a manifest is missing, or the two models can't be compared.
    """
    by, reason = require_name(by), require_reason(reason)
    serving = newest(engine)
    if serving is None:
        raise InputError("nothing was released yet, so there is nothing to experiment with; materialize the asset champion")
    champion = load_manifest(files, serving.champion)
    challenger = None
    if wish.challenger is not None:
        _, challenger = find_manifest(engine, files, wish.challenger)
        if challenger.model_sha256 == champion.model_sha256:
            raise InputError("the challenger is the champion's model, so nothing could be compared; name another candidate")
        require_comparable(champion, challenger)
    experiment = plan(wish, champion, challenger, salt=secrets.token_hex(16))
    created = Event(experiment=experiment.name, number=1, kind="created", actor=by, reason=reason, at_s=now_s)
    insert(engine, experiment, created)
    return Record(experiment, (created,))


def start(
    engine: sa.Engine, files: DigestStore, name: str, *, by: str, reason: str, now_s: int, override: bool = False
) -> Record:
    """Begin to assign customers. Of models, the challenger begins to answer its share.

    Args:
        engine: the serving database.
        files: the release files.
        name: name of the experiment.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        override: whether a rejected candidate may be challenger, as in ``releases.approval.approve``.

    Raises:
        InputError: if it was started before, another one runs or can't be read and may run, or its champion does not serve any more.
        FencedError: if another decision was faster.
        ReleaseError: as in ``releases.challenge.challenge``.
    """
    by, reason = require_name(by), require_reason(reason)
    record = read(engine, name)
    if record.state != "created":
        raise InputError(f"experiment {name} was started already; an experiment runs once, so create another one")
    turn = turn_of_start(engine)
    event = record.next_event("started", by=by, reason=reason, at_s=now_s, turn=turn)
    plan_ = record.experiment
    if plan_.challenger is None:
        append(engine, event)
        return read(engine, name)
    serving = with_control(engine, files, plan_)
    if serving is None:
        raise InputError(
            f"experiment {name} was planned against another champion than the one that serves; create another one"
        )
    if serving.challenger is not None and not serving.is_shadowed:
        raise InputError("a challenger answers already, so its customers would change hands; end the challenge first")
    challenge(
        engine,
        files,
        plan_.challenger,
        share=plan_.share,
        by=by,
        reason=f"experiment {name}: {reason}",
        now_s=now_s,
        override=override,
        read_epoch=serving.epoch,
        also=with_row(event),
    )
    return read(engine, name)


def with_control(engine: sa.Engine, files: DigestStore, experiment: Experiment) -> Serving | None:
    """The newest row of ``releases``; ``None`` where the control of an experiment of models is not its champion.

    Raises:
        ReleaseError: if the champion's manifest is missing or changed.
    """
    serving = newest(engine)
    is_control = serving is not None and load_manifest(files, serving.champion).candidate == experiment.control
    return serving if is_control else None


def stop(engine: sa.Engine, files: DigestStore, name: str, *, by: str, reason: str, now_s: int) -> Record:
    """End an experiment: nobody is assigned any more, and of models the champion answers every request again.

    What the results say then stands in the row. Outcomes of those who were assigned go on counting. Asked again, it changes nothing.

    Args:
        engine: the serving database.
        files: the release files.
        name: name of the experiment.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.

    Raises:
        InputError: if it never ran.
        FencedError: if another decision was faster.
        ReleaseError: if the champion's files are missing or changed.
    """
    by, reason = require_name(by), require_reason(reason)
    record = read(engine, name)
    if record.state == "stopped":
        return record
    if record.state == "created":
        raise InputError(f"experiment {name} was never started, so there is nothing to stop")
    found = results(engine, lambda: files, record, now_s=now_s).words
    event = record.next_event("stopped", by=by, reason=reason, at_s=now_s, found=found)
    if is_served(engine, record):
        end_challenge(
            engine,
            files,
            by=by,
            reason=f"experiment {name}: {reason}",
            now_s=now_s,
            read_epoch=record.events[-1].epoch,
            also=with_row(event),
        )
    else:
        append(engine, event)
    return read(engine, name)
