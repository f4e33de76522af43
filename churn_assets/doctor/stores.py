"""Probes of the stores: serving database, lake, release files, online features, MLflow. Each is used as a run would use it."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import obstore
import polars as pl
import redis
import sqlalchemy as sa

from churn_assets.features.feature_sets import company_features
from churn_assets.features.lake_columns import outdated
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import lacking
from churn_assets.lake.versions import TABLES
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.lost_checks import what_is_lost
from churn_assets.orchestration.lost_periods import is_being_written, recorded, unknown, unknown_in_words
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking_identity import require_not_lost
from churn_assets.resources.tracking_server import is_server, sign_of_life
from churn_assets.settings.features import Features
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import Source
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import REVISION, connect
from churn_store.errors import AbsentError, ChurnError, InputError, LostError
from churn_store.mapping.tables import KEYS
from churn_store.redaction import without_password
from churn_store.releases.installation import require_database_not_lost
from churn_store.storage.object_storage import in_object_store, open_store

PATIENCE_S = 5.0
REDIS = ("redis://", "rediss://", "unix://")


def database(url: str, releases_url: str, *, embedded: bool) -> str:
    """Check that the serving database answers and is migrated.

    Args:
        url: address of the database.
        releases_url: address of the release files.
        embedded: whether it is the file that the first run creates.

    Raises:
        AbsentError: if it is the embedded one and was never created.
        LostError: if it has no tables, and there are release files.
        InputError: if it does not answer, or has another revision.
    """
    address = sa.make_url(url)
    require_database_not_lost(url, releases_url)
    if embedded and not Path(str(address.database)).exists():
        raise AbsentError(f"{address.database} is made by `churn demo` or `churn migrate`")
    engine = connect(url)
    try:
        require_migrated(engine)
    finally:
        engine.dispose()
    return f"{without_password(url)} at revision {REVISION}"


def writable(place: Lake) -> str:
    """Check the lake: write a small table, read it and remove it again.

    Raises:
        InputError: if one of these steps fails.
    """
    table = f"doctor_{secrets.token_hex(4)}"
    rows = pl.DataFrame({"key": ["a"], "value": [1]})
    where = without_password(place.url)
    try:
        made = _missing(place)
        place.replace(table, {"all": rows}, run_id="churn doctor")
        same = place.read(table, "all").equals(rows)
        _remove(place, table, made)
    except ChurnError as error:
        raise InputError(f"{where} can't be written and read: {error}") from error
    except Exception as error:  # deltalake, polars and obstore have no base in common
        raise InputError(
            f"{where} can't be written and read ({type(error).__name__}); let this user write there, or look at the address"
        ) from error
    if not same:
        raise InputError(f"{where} gave other rows back than were written; look at the disk or the object store")
    return f"{where} can be written and read"


def lake_columns(
    place: Lake,
    source: Source,
    described: SourceSettings,
    choice: Features,
    *,
    types: Sequence[str],
    has_kinds: bool,
    store: ServingStore,
) -> str:
    """Check that the lake's tables have the present columns.

    Args:
        place: lake to check.
        source: source of the rows.
        described: section ``source``.
        choice: section ``features``.
        types: types of events with features of their own.
        has_kinds: whether each churn has a kind.
        store: store of the release that serves.

    Raises:
        AbsentError: if there are no tables yet.
        InputError: if some have other columns.
    """
    present = [table for table in TABLES if place.has(table)]
    if not present:
        raise AbsentError("no tables yet: `churn demo` or the Dagster UI makes them")
    old = {table: names for table in KEYS if (names := lacking(place, table, source.given(table)))}
    if old:
        listed = "; ".join(f"{table} lacks {', '.join(names)}" for table, names in old.items())
        raise InputError(f"the lake was written before the present columns: {listed}. Run `churn data migrate`")
    features = company_features(source, described, choice, types, served=store.inputs)
    if complaints := outdated(place, features, has_time=described.shape == "history", has_kinds=has_kinds):
        raise InputError("; ".join(complaints))
    return f"{len(present)} tables have the present columns"


def lake_contents(folder: Path, place: Lake) -> str:
    """Check that the lake holds what Dagster recorded, by the files of each period.

    Args:
        folder: folder of dagster.yaml, used if ``DAGSTER_HOME`` is not set.
        place: lake to check.

    Raises:
        AbsentError: if nothing was written yet.
        InputError: if there is no Dagster instance, or if a loss of some periods would not be noticed.
        LostError: if a period is lost.
    """
    gone, unrecorded, unknown_periods = [], {}, {}
    with instance_of(folder) as instance:
        for table in TABLES:
            if said := what_is_lost(instance, place, table):
                gone.append(said)
            try:
                written = recorded(instance, table)
                if untold := sum(tag is None for tag in written.values()):
                    unrecorded[table] = untold
                if (number := len(unknown(written, place.files(table) or {}))) and not is_being_written(
                    instance, place, table
                ):
                    unknown_periods[table] = number
            except LostError:  # Delta's log of this table, named above; the others are looked at all the same
                continue
    if gone:
        raise LostError("; ".join(gone))
    if unknown_periods:
        raise InputError(unknown_in_words(unknown_periods))
    if unrecorded:
        listed = ", ".join(f"{number} of {table}" for table, number in unrecorded.items())
        raise InputError(
            f"the files of {sum(unrecorded.values())} periods were never recorded ({listed}), so nobody would notice if they were lost or "
            "replaced; run `churn data migrate`"
        )
    if not (present := [table for table in TABLES if place.has(table)]):
        raise AbsentError("nothing was written yet")
    return f"{len(present)} tables have the files that were written"


def release(store: ServingStore, database_url: str, *, embedded: bool) -> str:
    """Check that the serving release exists, is unchanged and blessed, and repeats its golden rows.

    Args:
        store: store of the release.
        database_url: address of the serving database.
        embedded: whether that database is the file that the first run creates.

    Raises:
        AbsentError: if none was published yet.
        ChurnError: if it is missing, changed or unblessed.
    """
    none = "no release serves yet: `churn demo` or the job retrain makes one"
    if embedded and not Path(str(sa.make_url(database_url).database)).exists():
        raise AbsentError(none)
    try:
        row = store.newest()
        if row is None:
            raise AbsentError(none)
        try:
            bundle = store.champion()
        except ChurnError as error:
            raise InputError(
                f"epoch {row.epoch}: {error}; bring the file back from a backup, or publish another release (job retrain)"
            ) from error
    finally:
        if "engine" in vars(store):
            store.engine.dispose()
    family = "?" if bundle is None else bundle.manifest.family
    return f"epoch {row.epoch}, {family}, digest {row.champion[:12]} verifies"


def online(url: str) -> str:
    """Check that the online features can be reached.

    Raises:
        AbsentError: if the folder was not created yet.
        InputError: if Redis does not answer.
    """
    if not url.startswith(REDIS):
        if not Path(url).exists():
            raise AbsentError(f"{url} is made by the job score")
        return f"folder {url}"
    client = redis.Redis.from_url(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)
    try:
        client.ping()
    except redis.RedisError as error:
        raise InputError(
            f"the Redis at {without_password(url)} does not answer ({type(error).__name__}); start it, or set store.online_url"
        ) from error
    finally:
        client.close()
    return f"{without_password(url)} answers"


def tracking(folder: Path, uri: str, experiment: str) -> str:
    """Check that MLflow can be reached, and is the one that earlier trainings wrote to.

    Args:
        folder: folder of dagster.yaml, used if ``DAGSTER_HOME`` is not set.
        uri: address of a server or a database.
        experiment: name of the company's experiment.

    Raises:
        AbsentError: if it is the embedded one and was never created.
        InputError: if it does not answer.
        LostError: if it was removed or replaced.
    """
    try:
        instance = instance_of(folder)
    except ChurnError:  # told by a part of its own; MLflow may be well
        shown = sign_of_life(uri)
    else:
        with instance:
            require_not_lost(instance, uri, experiment)
        shown = without_password(uri)
    return f"{shown} answers" if is_server(uri) else shown


def _missing(place: Lake) -> list[Path]:
    """The missing folders that a first write would create, innermost first; none if the lake is in an object store."""
    if in_object_store(place.url):
        return []
    root = Path(place.url)
    return [folder for folder in (root, *root.parents) if not folder.exists()]


def _remove(place: Lake, table: str, made: list[Path]) -> None:
    if not in_object_store(place.url):
        shutil.rmtree(place.uri(table))
        for folder in made:
            # A folder into which somebody else has written in the meantime stays.
            if any(folder.iterdir()):
                return
            folder.rmdir()
        return
    store = open_store(place.uri(table))
    for batch in obstore.list(store):
        obstore.delete(store, [file["path"] for file in batch])
