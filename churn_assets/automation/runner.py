"""Runs all due jobs of the graph once, in order and in this process, and skips those that are unchanged.

The demo and the checks run to the end what the sensors request one by one. A job is skipped if its newest
run succeeded with the same fingerprint: the same code, sections of settings, periods and upstream data versions. The asset graph
knows which assets a job makes, and from which others.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from churn_assets.automation.due import contiguous, features_due, first_snapshot, labels_due, raw_due
from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import FACTS, FEATURES, INGEST, LABELS, ORDER, RETRAIN, SCORE
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.code_version import sections_of
from churn_assets.orchestration.dagster_internals import AssetNode
from churn_assets.orchestration.in_process import execute
from churn_assets.orchestration.lost_checks import IN_LAKE
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import REASON, data_version, data_versions, digest_of, ingested
from churn_assets.periods import text
from churn_assets.raw.assets import ANEW
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.tables import Source
from churn_store.errors import ChurnError, InputError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.lifecycle import SHOWN_DIGITS, how_to_approve, waiting

FINGERPRINT = "churn/run_fingerprint"

CHAMPION = "champion"
"""The asset whose version is the serving release."""

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
"""The run config that keeps the console to errors; all events of a run are in the instance."""


@dataclass(frozen=True)
class Step:
    """One job, run or skipped.

    Attributes:
        job: name of the job.
        periods: number of periods that it was for; `None` for a job without periods.
        skipped: whether the job was skipped.
        seconds: duration of the job.
        failed_checks: failed asset checks as ``asset:check``, with what they found.
        error: error of the run in one line; `None` if it succeeded.
        wrong_input: whether the user has to put the error right: a table, a file or a setting.
        kept: whether it was skipped although something has changed, because stored periods of the source stay as they are.
    """

    job: str
    periods: int | None
    skipped: bool
    seconds: float
    failed_checks: tuple[str, ...] = ()
    error: str | None = None
    wrong_input: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Graph:
    """A company's graph and everything that it works on.

    Attributes:
        defs: definitions of the graph.
        settings: settings that they were built from.
        source: source of the raw tables.
        serving: store of the releases.
        instance: instance that remembers the runs.
    """

    defs: dg.Definitions
    settings: Settings
    source: Source
    serving: ServingStore
    instance: dg.DagsterInstance


def run_all(graph: Graph, *, started: Callable[[str], None], anew: bool = False) -> Iterator[Step]:
    """Run every job that the clock makes due, in the order of the data; stop after the first that fails.

    Args:
        graph: graph to run.
        started: function that is called with the name of each job before it runs.
        anew: whether a source without arrival timestamps is loaded as if for the first time.
    """
    for job in ORDER:
        keys = _keys(job, graph.settings)
        if keys == []:
            continue
        if job == SCORE and graph.serving.newest() is None:
            yield Step(job, None, False, 0.0, error=_nothing_serves(graph.serving), wrong_input=True)
            return
        current = fingerprint(graph, job, keys)
        changed = _newest_fingerprint(graph.instance, job) != current or not _is_there(graph, job)
        wanted, by_period = keys, job == INGEST and keys is not None
        if by_period and keys is not None:
            wanted = _to_ingest(graph, keys, changed=changed, anew=anew)
        if not wanted if by_period else not changed:
            yield Step(job, None if keys is None else len(keys), True, 0.0, kept=changed)
            continue
        started(job)
        for stretch in [None] if wanted is None else _stretches(graph, wanted):
            step = _run(graph, job, stretch, current, anew=anew and by_period)
            yield step
            if step.error is not None:
                return


def _to_ingest(graph: Graph, keys: list[str], *, changed: bool, anew: bool) -> list[str]:
    """The periods to ingest: missing ones, and if something has changed also the stored ones.

    Stored periods of a source without arrival timestamps stay as they are, unless it is loaded anew: otherwise a late row would
    count as known when it happened.
    """
    settings = graph.settings
    if anew or (changed and all(graph.source.says_when_known(table) for table in settings.raw_tables)):
        return keys
    stored = ingested(graph.instance, Lake(settings.lake_url), settings.raw_tables)
    return [key for key in keys if key not in stored]


def _stretches(graph: Graph, keys: list[str]) -> list[list[str]]:
    """The unbroken stretches of some periods; each becomes one run."""
    ends = contiguous(graph.settings.calendar, keys)
    return [[key for key in keys if first <= key <= last] for first, last in ends]


def _nothing_serves(serving: ServingStore) -> str:
    """The message after a training without a release: why there is none, and what to do."""
    if candidates := waiting(serving.engine, serving.files):
        return f"no release serves yet: promotion is manual, and the candidate waits for `{how_to_approve(candidates[0].candidate)}`; then go on"
    judged = newest_blessings(serving.engine)
    if not judged:
        return "no release serves yet, and no candidate was judged; materialize model_blessing and champion"
    return (
        f"no release serves yet: candidate {judged[0].candidate[:SHOWN_DIGITS]} is {judged[0].verdict}: {judged[0].refusal}. "
        f"Look at the checks of model_blessing; `{how_to_approve(judged[0].candidate)} --override` releases it in your name"
    )


def _keys(job: str, settings: Settings) -> list[str] | None:
    """The periods that a job is for by the clock, whether stored or not; `None` for a job without periods."""
    if not settings.has_time or job in (RETRAIN, FACTS):
        return None
    today = settings.clock.now().date()
    if job == INGEST:
        return raw_due(settings.calendar, today, ())
    raw = {text(key) for key in settings.calendar.complete(today)}
    first = first_snapshot(settings.start, settings.tables, at_risk=settings.at_risk, features=settings.features)
    due = features_due(settings.calendar, today, first=first, raw=raw, have=())
    if job == FEATURES:
        return due
    if job == LABELS:
        return labels_due(settings.calendar, settings.label, today, raw=raw, features=due, have=())
    return due[-1:]


def fingerprint(graph: Graph, job: str, keys: list[str] | None) -> str:
    """A digest of everything that a job's assets are made from: their code, the sections of settings, and upstream data."""
    settings, made = graph.settings, _made_by(graph, job)
    sections = sections_of(*{node.group_name for node in made if node.group_name})
    read: list[object] = [
        job,
        None if job == INGEST else keys,
        sorted((node.key.to_user_string(), node.code_version) for node in made),
        settings.model_dump_json(include=set(sections)),
    ]
    if job == INGEST:
        read.append(graph.source.fingerprint())
    for key in sorted({key for node in made for key in node.parent_keys} - {node.key for node in made}):
        asset = key.to_user_string()
        if asset == CHAMPION:  # the serving release, which an approval or a rollback changes as well
            row = graph.serving.newest()
            read.append(None if row is None else row.champion)
        elif settings.has_time:
            read.append((asset, sorted(data_versions(graph.instance, asset).items())))
        else:
            read.append((asset, data_version(graph.instance, asset)))
    return digest_of(*read)


def _is_there(graph: Graph, job: str) -> bool:
    """Whether the tables and the release that a job writes still exist, and nothing of the tables is lost."""
    lake, made = Lake(graph.settings.lake_url), _made_by(graph, job)
    tables = [node.key.to_user_string() for node in made if IN_LAKE in node.kinds]
    released = all(node.key.to_user_string() != CHAMPION for node in made) or graph.serving.newest() is not None
    return released and all(lake.has(table) and not lost(graph.instance, lake, table) for table in tables)


def _made_by(graph: Graph, job: str) -> list[AssetNode]:
    """The assets of a job, as the graph has them."""
    assets = graph.defs.resolve_asset_graph()
    return [assets.get(key) for key in graph.defs.resolve_job_def(job).asset_layer.selected_asset_keys]


def _newest_fingerprint(instance: dg.DagsterInstance, job: str) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(job_name=job), limit=1)
    return runs[0].tags.get(FINGERPRINT) if runs and runs[0].status == dg.DagsterRunStatus.SUCCESS else None


def _run(graph: Graph, job: str, keys: list[str] | None, fingerprint: str, *, anew: bool) -> Step:
    tags = {REASON: "asked for by hand, with all that is due", FINGERPRINT: fingerprint, **({ANEW: "true"} if anew else {})}
    partition_key = None
    if keys is not None:
        first, last = keys[0], keys[-1]
        if first == last:
            partition_key = first
        else:
            tags |= {RANGE_START: first, RANGE_END: last}
    begun = time.monotonic()
    result = execute(
        graph.defs.resolve_job_def(job), graph.instance, tags=tags, run_config=QUIET, partition_key=partition_key
    )
    seconds = time.monotonic() - begun
    failed = [
        check
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    # For a range of periods a check has a result for each period, and one for the whole range that repeats them.
    with_period = {(check.asset_key, check.check_name) for check in failed if check.partition is not None}
    failed_checks = tuple(
        f"{check.asset_key.to_user_string()}:{check.check_name}"
        f"{'' if check.partition is None else f' {check.partition}'}: {check.description}"
        for check in failed
        if check.partition is not None or (check.asset_key, check.check_name) not in with_period
    )
    error, wrong_input = (None, False) if result.success else why(result)
    return Step(job, None if keys is None else len(keys), False, seconds, failed_checks, error, wrong_input)


def why(result: dg.ExecuteInProcessResult) -> tuple[str, bool]:
    """The error of a failed run in one line, and whether the user has to put it right."""
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    if failures and failures[0].user_failure_data is not None and failures[0].user_failure_data.description:
        return failures[0].user_failure_data.description, True
    if failures:
        error = failures[0].error
    else:  # a resource, such as a tracking server that is away
        error = next((event.job_failure_data.error for event in result.all_events if event.is_job_failure), None)
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "the run failed without an error", False
    name, _, message = " ".join(error.message.split()).partition(": ")
    is_input = error.cls_name == InputError.__name__
    is_own = is_input or error.cls_name in {one.__name__ for one in ChurnError.__subclasses__()}
    return (message if is_own else f"{name}: {message}"), is_input
