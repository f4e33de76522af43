"""The Dagster instance that a command works on, with the reports and queries of commands.

Belongs here: the use of Dagster by commands, outside of any run. Does not belong here: reports of runs (``table_writer``) and
queries of the automation (``run_history``).
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from churn_assets.lake.contents import digest_of_files
from churn_assets.lake.lake import Lake
from churn_assets.lake.restore import Back
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG, daemon_statuses, is_dagster_home_set
from churn_assets.orchestration.lost_periods import FILES_TAG, LACKING
from churn_assets.orchestration.run_history import UNDER_WAY, data_version, data_versions
from churn_assets.periods import ALL
from churn_store.database.sqlite_file import in_words
from churn_store.errors import AbsentError, InputError

CONFUSED = re.compile(r"\?|%[0-9A-Fa-f]{2}")


def instance_of(folder: Path) -> dg.DagsterInstance:
    """The instance of ``DAGSTER_HOME``, or that of the folder, which the Dagster UI shows as well.

    Raises:
        InputError: if neither exists, or Dagster can't keep its history under its path.
    """
    if is_dagster_home_set():
        home = Path(os.environ["DAGSTER_HOME"]).expanduser()
        if not home.is_absolute() or not home.is_dir():
            raise InputError(
                f"DAGSTER_HOME is {home}; expected the absolute path of a folder that is there, or no DAGSTER_HOME"
            )
        _refuse_confused_path(home)
        return _opened(dg.DagsterInstance.get, home)
    if not (folder / "dagster.yaml").exists():
        raise InputError(
            f"{folder} has no dagster.yaml; run this where churn.yaml and dagster.yaml lie, or set DAGSTER_HOME"
        )
    _refuse_confused_path(folder)
    return _opened(lambda: dg.DagsterInstance.from_config(str(folder), "dagster.yaml"), folder / ".dagster")


def _opened(open_instance: Callable[[], dg.DagsterInstance], home: Path) -> dg.DagsterInstance:
    """An instance of which each database was asked something.

    Raises:
        LostError: if a file of it is no database.
        DiskError: if the disk does not let it be used.
    """
    try:
        instance = open_instance()
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()
    except Exception as error:
        files = sorted(home.rglob("*.db")) if home.is_dir() else []
        said = in_words(
            error,
            files,
            "Dagster's database",
            "every run and period is unknown then: `churn demo`, or the sensors, make them again",
        )
        if said is None:
            raise
        raise said from error
    return instance


def _refuse_confused_path(folder: Path) -> None:
    """Refuse a folder that Dagster, which writes paths into addresses as they are, would take for another one.

    Raises:
        InputError: if its path has a question mark, or a percent sign before two hexadecimal digits.
    """
    if confused := CONFUSED.search(str(folder.absolute())):
        raise InputError(
            f"Dagster can't keep its history in {folder}: it takes {confused[0]!r} in a path for something else; set DAGSTER_HOME to a "
            "folder without it (a copy of dagster.yaml in it), or rename the folder"
        )


def instance_in_words(folder: Path | None = None) -> str:
    """The name of the instance that ``instance_of`` returns, for screens and error messages.

    Args:
        folder: folder of dagster.yaml, as for ``instance_of``; default: the current one.
    """
    if is_dagster_home_set():
        return f"the Dagster instance of DAGSTER_HOME={os.environ['DAGSTER_HOME']}"
    return f"the Dagster instance of {(folder or Path.cwd()).absolute()}"


def require_no_run(instance: dg.DagsterInstance, table: str) -> None:
    """Refuse while a run is queued or under way, as it may read or write the table.

    Raises:
        InputError: if there is such a run; it has the run's id.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=1)
    if runs:
        raise InputError(
            f"run {runs[0].run_id} of {runs[0].job_name} is {runs[0].status.value.lower()} and may use {table}; wait "
            "until it has ended, or cancel it in the Dagster UI, then try again"
        )


def untold(instance: dg.DagsterInstance, table: str, periods: Mapping[str, Back], *, empty: Back | None) -> dict[str, Back]:
    """The periods for which Dagster has another digest than the lake: a restore died before it reported them.

    Args:
        instance: instance that remembers the assets.
        table: name of the asset.
        periods: digests and numbers of the present rows, by period.
        empty: state of a period without rows, if ``periods`` are all that the table has; `None` if they are only some.
    """
    known = data_versions(instance, table)
    held = {**(dict.fromkeys(known, empty) if empty else {}), **periods}
    return {
        period: back
        for period, back in held.items()
        if (data_version(instance, table) if period == ALL else known.get(period)) != back.digest
    }


def report_restored(
    instance: dg.DagsterInstance,
    lake: Lake,
    table: str,
    periods: Mapping[str, Back],
    *,
    of: int,
    version: int,
    said: str = "version {of} was brought back by `churn data restore`",
) -> None:
    """Report the digests of restored or rewritten periods to Dagster, so that assets made from other rows become stale and are made again.

    Args:
        instance: instance that remembers the assets.
        lake: lake of the table.
        table: name of the asset.
        periods: periods as the restore left them; one without rows is reported as well, as Dagster can't forget single periods.
        of: version that was restored.
        version: number of the new version.
        said: description of what happened, in which ``{of}`` is that version.
    """
    files = lake.files(table) or {}
    for period, back in sorted(periods.items()):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key=dg.AssetKey(table),
                partition=None if period == ALL else period,
                description=said.format(of=of),
                metadata={
                    "dagster/row_count": back.rows,
                    "dagster/uri": lake.shown_uri(table),
                    "delta_version": version,
                    "restored_version": of,
                    "data_version": back.digest,
                    **({} if back.rows else {LACKING: True}),
                },
                tags={DATA_VERSION_TAG: back.digest, FILES_TAG: digest_of_files(files.get(period, []))},
            )
        )


def daemon_in_words(instance: dg.DagsterInstance) -> str:
    """Whether the daemon of an instance ticks, when it was last heard of, and which error it met lately.

    An error of a sensor is no silence: the daemon goes on with the others, and its tick says what it was.

    Raises:
        AbsentError: if it was never started, or if it does not run now and the instance is the folder's own.
        InputError: if one of its parts has stopped sending heartbeats.
    """
    statuses = daemon_statuses(instance)
    heard = {name: status.last_heartbeat for name, status in statuses.items() if status.last_heartbeat is not None}
    if not heard:
        raise AbsentError("never started here, so no sensor ticks; `churn dev` starts it")
    silent = [name.lower() for name, status in sorted(statuses.items()) if not status.healthy]
    last = max(datetime.fromtimestamp(beat.timestamp, tz=UTC) for beat in heard.values())
    when = f"last heard of {last:%Y-%m-%d %H:%M:%S} UTC"
    if len(silent) == len(statuses) and not is_dagster_home_set():
        raise AbsentError(f"does not run, {when}, so no sensor ticks; `churn dev` starts it")
    if silent:
        raise InputError(
            f"{', '.join(silent)} does not tick, {when}; start `churn dev`, or `dagster-daemon run` in production"
        )
    errors = [(name.lower(), error) for name, beat in sorted(heard.items()) for error in beat.errors or ()]
    met = ""
    if errors:
        name, error = errors[0]
        while error.cause is not None:
            error = error.cause
        met = f"; {name} met an error lately ({(error.message.strip().splitlines() or ['?'])[0]}): look at the ticks in the Dagster UI"
    return f"{len(statuses)} parts tick, {when}{met}"
