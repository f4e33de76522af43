"""What must hold after every step of a year: the invariants of docs/architecture.md, by their numbers, and what Dagster must not do.

Each is a function of the world that raises ``BrokenError`` with what was found. Belongs here: what is looked at. Does not belong here: when.
"""

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import dagster as dg
import polars as pl
import sqlalchemy as sa
from dagster._core.scheduler.instigation import TickStatus

from churn_assets.lake.contents import StoredFile
from churn_assets.lake.versions import RAW, TABLES, digest_at
from churn_assets.orchestration.dagster_internals import PARTITION_NAME_TAG
from churn_assets.orchestration.failure_policy import WRONG_INPUT_TAG
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import CAUSE, data_versions
from churn_assets.orchestration.run_history import _periods as periods_of
from churn_store.database.schema import prediction_log
from churn_store.errors import ReleaseError
from churn_store.mapping.tables import KEYS
from churn_store.releases.blessings import newest_blessing
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import RELEASED, history
from tests.year.daemon import NOT_ENDED
from tests.year.machine import MACHINE
from tests.year.world import World

ONE_ROW = ("customer_features", "churn_labels", "churn_scores")


class BrokenError(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, said: str) -> None:
    """Refuse a world in which something does not hold."""
    if not holds:
        raise BrokenError(said)


def bundle_of(world: World, digest: str) -> Bundle:
    """A release as its files are now; read again where one of them has changed."""
    folder = world.folder / ".churn" / "releases"
    state = sorted((str(file), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file())
    key = ("bundle", digest, hash(tuple(state)))
    if key not in world.seen:
        try:
            world.seen[key] = load_bundle(world.serving.files, digest)
        except ReleaseError as error:
            raise BrokenError(f"release {digest[:12]} can't be read: {error}") from error
    found: Bundle = world.seen[key]
    return found


def one_verified_release_answers(world: World) -> None:
    """1: what serves is a row of ``releases``, whole in the store or its copy, and each answer is what that release says."""
    rows = {row.epoch: row for row in history(world.serving.engine, limit=None)}
    current = world.service.poller.current
    if current is not None:
        known = rows.get(current.row.epoch)
        require(known == current.row, f"the service serves {current.row}, but that epoch is {known}")
        require(
            current.champion.bundle.digest == current.row.champion, "the service's champion is another one than its row's"
        )
    checked = world.seen.setdefault("answers checked", [0])
    lines = {(line["request_id"]): line for line in [*_spooled(world), *_logged(world)]}
    for answer in world.service.answers[checked[0] :]:
        row = rows.get(answer.epoch)
        require(row is not None, f"an answer names epoch {answer.epoch}, which there is not")
        assert row is not None
        named = row.champion if answer.role == "champion" else row.challenger
        require(answer.release == named, f"an answer names release {answer.release[:12]}, epoch {answer.epoch} is {named}")
        line = lines.get(answer.prediction_id)
        if line is not None:
            features = line["features"] if isinstance(line["features"], dict) else json.loads(line["features"])
            [said] = bundle_of(world, answer.release).scorer.score_rows([features]).tolist()
            require(said == answer.probability, f"an answer says {answer.probability}, its release {said}")
    checked[0] = len(world.service.answers)


def releases_are_whole_and_blessed(world: World) -> None:
    """2: no row points at files that are missing, changed, or neither blessed nor overridden by a named person."""
    for row in history(world.serving.engine, limit=None):
        for digest in filter(None, (row.champion, row.challenger)):
            blessing = bundle_of(world, digest).manifest.blessing
            require(blessing.releasable, f"epoch {row.epoch} serves a release that is {blessing.verdict}")
            require(bool(blessing.actor.strip()), f"epoch {row.epoch} was blessed by nobody")
            recorded = newest_blessing(world.serving.engine, blessing.candidate)
            require(recorded is not None, f"epoch {row.epoch} serves a candidate without a recorded verdict")


def history_only_grows(world: World) -> None:
    """3: epochs follow one another, and a row that was ever seen stays as it is: of two writers one was told."""
    rows = list(reversed(history(world.serving.engine, limit=None)))
    require([row.epoch for row in rows] == list(range(1, len(rows) + 1)), f"the epochs are {[row.epoch for row in rows]}")
    before = world.releases
    require(rows[: len(before)] == before, f"history was rewritten: {before} became {rows[: len(before)]}")
    world.releases = rows


def built_twice_is_the_same(world: World) -> None:
    """4: a stored period has the rows that it has in an untroubled year, and one row a customer and snapshot."""
    assert world.untroubled is not None
    for table in (*RAW, "customer_features", "churn_labels"):
        for period, (digest, rows) in _whole(world, table).items():
            known = world.untroubled.ever(table, period, world.month)
            require(digest in known, f"{table} {period} has other rows ({rows.height}) than in an untroubled year")
    for table in ONE_ROW:
        for period, (_, rows) in _whole(world, table).items():
            require(
                not rows.select("customer_id", "snapshot_s").is_duplicated().any(), f"{table} {period} has a customer twice"
            )


def no_answer_is_lost(world: World) -> None:
    """5: every answered prediction is in the spool or in the log, and nowhere twice."""
    spooled, logged = [line["request_id"] for line in _spooled(world)], [row["request_id"] for row in _logged(world)]
    require(len(set(logged)) == len(logged), "a prediction is in the log twice")
    require(len(set(spooled)) == len(spooled), "a prediction is in the spool twice")
    missing = {answer.prediction_id for answer in world.service.answers} - {*spooled, *logged}
    require(
        not missing, f"{len(missing)} of {len(world.service.answers)} answered predictions are neither in spool nor log"
    )


def features_know_nothing_later(world: World) -> None:
    """6: what a snapshot once said it says for ever, whatever arrives after it."""
    first = world.seen.setdefault("first features", {})
    for period, (digest, _) in _whole(world, "customer_features").items():
        require(first.setdefault(period, digest) == digest, f"customer_features {period} says something else than at first")


def a_fault_in_the_gate_promotes_nothing(world: World) -> None:
    """7: no run that judged while a rule was broken has released anything, and what was released by a run was accepted."""
    for row in history(world.serving.engine, limit=None):
        run_id = row.actor.removeprefix("dagster run ")
        require(run_id not in world.gate_faults, f"epoch {row.epoch} was released while a rule of the gate was broken")
        if row.kind == RELEASED:
            blessing = bundle_of(world, row.champion).manifest.blessing
            require(
                blessing.verdict in {"accepted", "undecided"}, f"epoch {row.epoch} was released though {blessing.verdict}"
            )


def rows_are_read_as_delivered(world: World) -> None:
    """9: every stored row is one of the company's, with its own values; what was cut off is never read as something else."""
    assert world.untroubled is not None
    for table in RAW:
        for period, (_, rows) in _whole(world, table).items():
            truth = world.untroubled.raw.get((table, period))
            require(truth is not None, f"{table} has rows of {period}, which no file has")
            assert truth is not None
            strange = rows.join(truth.select(rows.columns), on=rows.columns, how="anti", nulls_equal=True)
            require(
                strange.is_empty(),
                f"{table} {period} has {strange.height} rows that no file has, such as {strange.head(1).rows()}",
            )
            require(not rows.select(KEYS[table]).is_duplicated().any(), f"{table} {period} has a row twice")


def lake_is_as_recorded(world: World) -> None:
    """10: a period's rows are those that Dagster recorded, or the platform says that it is lost."""
    for table in TABLES:
        state = _state(world, table)
        for period, version in state.recorded.items():
            if state.files is None or period in state.lost:
                continue
            if period in state.files:
                digest = world.rows(table, period, state.files[period])[0]
                require(digest == version, f"{table} {period} differs from what Dagster recorded, and nothing says so")
            else:
                empty = digest_at(table, world.lake.scan(table).drop("period").head(0).collect())
                require(version == empty, f"{table} {period} had rows, has none, and nothing says so")


def nothing_is_asked_for_twice(world: World) -> None:
    """A schedule or sensor asks once for a period and a cause: again only after a failure that may pass, and at most three times."""
    asked: dict[tuple[str, str, str], list[dg.DagsterRun]] = defaultdict(list)
    for run in reversed(world.daemon.instance.get_runs()):
        if CAUSE in run.tags and run.parent_run_id is None:
            for period in _periods(world, run):
                asked[run.job_name, period, run.tags[CAUSE]].append(run)
    for (job, period, _), runs in asked.items():
        for earlier, later in pairwise(runs):
            again = _may_be_asked_again(world, earlier)
            words = f"{job} {period} was asked for twice: run {earlier.run_id[:8]} is {earlier.status.value}"
            if earlier.run_id in world.cancelled:
                words += ", as a person cancelled it"
            require(again, f"{words}, and run {later.run_id[:8]} has the same cause")
        require(len(runs) <= ATTEMPTS_ALLOWED, f"{job} {period} was asked for {len(runs)} times")


ATTEMPTS_ALLOWED = 3


def a_period_is_worked_on_once(world: World) -> None:
    """No two runs of a job that were asked for by the platform itself are under way or queued for the same period."""
    busy: dict[tuple[str, str], str] = {}
    for run in world.daemon.instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED)):
        if CAUSE in run.tags:
            for period in _periods(world, run):
                other = busy.setdefault((run.job_name, period), run.run_id)
                require(
                    other == run.run_id,
                    f"{run.job_name} {period} is asked for by two runs at once: {other[:8]}, {run.run_id[:8]}",
                )


def intended_skips_are_no_failures(world: World) -> None:
    """No tick fails and no run fails unless something was wrong: an intended skip says that it is one."""
    errors, world.daemon.tick_errors = world.daemon.tick_errors, []
    require(not errors or not world.is_quiet, f"a tick failed: {errors[:1]}")
    for tick in world.daemon.ticks():
        if tick.status == TickStatus.FAILURE and world.is_quiet:
            raise BrokenError(
                f"the tick of {tick.instigator_name} failed: {tick.error.to_string()[:400] if tick.error else ''}"
            )
        if tick.status == TickStatus.SKIPPED and not tick.origin_run_ids:
            require(bool(tick.skip_reason), f"{tick.instigator_name} skipped and did not say why")
    explained = world.seen.setdefault("failures explained", set())
    for run in world.daemon.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
        if run.run_id not in explained:
            explained.add(run.run_id)
            why = _why(world, run)
            is_blocked = " is lost" in why or " are lost" in why  # behind what a dead process left half done: invariant 10
            known = is_blocked or run.run_id in {*world.troubled_runs, *world.cancelled, *world.gate_faults}
            failed = f"a run of {run.job_name} {_periods(world, run)} failed in quiet weather: {why}"
            require(known or not world.is_quiet, failed)


def a_check_belongs_to_its_period(world: World) -> None:
    """A check's verdict on a period is bound to that period's rows, also where two backfills run at once."""
    instance = world.daemon.instance
    seen = world.seen.setdefault("checks seen", {"until": 0})
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=seen["until"]), ascending=True
    )
    for record in records:
        seen["until"] = record.storage_id
        event = record.event_log_entry.dagster_event
        assert event is not None
        said = event.asset_check_evaluation_data
        target = said.target_materialization_data
        if said.partition is None or target is None:
            continue
        [found] = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=said.asset_key, storage_ids=[target.storage_id]), limit=1
        ).records
        materialized = found.asset_materialization
        assert materialized is not None
        require(
            materialized.partition == said.partition,
            f"check {said.check_name} of {said.asset_key.to_user_string()} {said.partition} is bound to {materialized.partition}",
        )


INVARIANTS = (
    one_verified_release_answers,
    releases_are_whole_and_blessed,
    history_only_grows,
    built_twice_is_the_same,
    no_answer_is_lost,
    features_know_nothing_later,
    a_fault_in_the_gate_promotes_nothing,
    rows_are_read_as_delivered,
    lake_is_as_recorded,
    nothing_is_asked_for_twice,
    a_period_is_worked_on_once,
    intended_skips_are_no_failures,
    a_check_belongs_to_its_period,
)


def assert_invariants(world: World) -> None:
    """All of them, looked at from outside: whatever is away for the platform is there for the test."""
    with MACHINE.observed():
        for holds in INVARIANTS:
            holds(world)


@dataclass(frozen=True)
class TableState:
    """What a table is at a moment.

    Attributes:
        recorded: data versions by period, as Dagster has them.
        files: files by period; `None` where the lake has no such table.
        lost: what the platform says is lost, by period.
    """

    recorded: dict[str, str]
    files: dict[str, list[StoredFile]] | None
    lost: dict[str, str]


def _state(world: World, table: str) -> TableState:
    """The state of a table, looked at again only where an event or a file has come or gone."""
    instance, lake = world.daemon.instance, world.lake
    stamp = (
        instance.event_log_storage.get_maximum_record_id(),
        [(place, tuple(files)) for place, _, files in os.walk(lake.uri(table))],
    )
    known = world.seen.get(("state", table))
    if known is None or known[0] != stamp:
        files = lake.files(table)
        gone = lost(instance, lake, table) if files is not None else {}
        known = world.seen["state", table] = stamp, TableState(data_versions(instance, table), files, gone)
    found: TableState = known[1]
    return found


def _whole(world: World, table: str) -> dict[str, tuple[str, pl.DataFrame]]:
    """Digest and rows of the periods of a table that Dagster knows and that are not lost."""
    state = _state(world, table)
    return {
        period: world.rows(table, period, stored)
        for period, stored in (state.files or {}).items()
        if period in state.recorded and period not in state.lost
    }


def _spooled(world: World) -> list[dict[str, Any]]:
    files = sorted((world.service.folder / "spool").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def _logged(world: World) -> list[dict[str, Any]]:
    with world.serving.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(prediction_log))]


def _periods(world: World, run: dg.DagsterRun) -> list[str]:
    return periods_of(run, world.settings.calendar) or [run.tags.get(PARTITION_NAME_TAG, "")]


def _may_be_asked_again(world: World, run: dg.DagsterRun) -> bool:
    return run.status == dg.DagsterRunStatus.FAILURE and WRONG_INPUT_TAG not in run.tags


def _why(world: World, run: dg.DagsterRun) -> str:
    for entry in world.daemon.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        assert entry.dagster_event is not None
        data = entry.dagster_event.step_failure_data
        if data.user_failure_data is not None:
            return str(data.user_failure_data.description)
        return data.error.to_string()[:600] if data.error is not None else ""
    return "no step of it failed"
