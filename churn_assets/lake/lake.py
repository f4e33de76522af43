"""The lake: one Delta Lake table an asset, partitioned by period.

Belongs here: writing exactly the given partitions in one commit; reading; versions. Does not belong here: what the rows mean,
and whether they are right (``churn_assets.contracts``, before the write).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from churn_assets.lake.contents import PERIOD, StoredFile, damaged, digest_of_files, files_of
from churn_assets.lake.folder_paths import readable, refuse_confused_path
from churn_assets.lake.store_options import delta_options, polars_options
from churn_assets.lake.torn import is_panic, torn_data, torn_log
from churn_store.disk import disk_error
from churn_store.errors import ChurnError, DiskError, InputError, LostError
from churn_store.redaction import without_password
from churn_store.storage.object_storage import away, in_object_store, require_endpoint

KEEPS_VERSIONS = {"delta.enableExpiredLogCleanup": "false"}
"""Keeps every version: by default Delta drops those older than 30 days, and a model's training set must be reproducible for ever."""

GROUPED = WriterProperties(compression="SNAPPY", max_row_group_size=131_072)
"""Small row groups, so that a reader who needs few rows can skip most groups by their statistics."""

SOURCES = "sources"
"""The metadata key of a commit with the versions of the tables that its rows were made from."""

PATIENCE_S = 30
"""The timeout of one request to an object store; a failed request is repeated for as long again."""

TRIES = 5
"""The number of attempts at a write: after another writer's commit it reads the table again and is repeated."""

FIRST_VERSION = 0

OVERHEAD_BYTES = 65_536
"""Room for the files' own parts, and for Delta's log."""

BACKUP = "bring the lake back from a backup, or move the table's folder away: the sensors, or `churn demo`, make it again"

T = TypeVar("T")


@dataclass(frozen=True)
class Commit:
    """A write of a table: the version of the table after it, and digests of the files of each period that it wrote.

    A period without rows has no files, and the digest of none.
    """

    version: int
    files: dict[str, str]


class Lake:
    """Delta tables under one root.

    In an object store a commit is a conditional put: it fails if the version already exists, and the slower writer tries again.

    Args:
        url: folder, or address in an object store.
        patience_s: timeout of one request to an object store, in seconds.
    """

    def __init__(self, url: str, *, patience_s: int = PATIENCE_S) -> None:
        self.url = url.rstrip("/")
        remote = in_object_store(url)
        self._options = delta_options(patience_s) if remote else None
        self._reading = polars_options(patience_s) if remote else None

    def uri(self, table: str) -> str:
        """The address of a table."""
        return f"{self.url}/{table}"

    def shown_uri(self, table: str) -> str:
        """The address of a table as it may be shown."""
        return without_password(self.uri(table))

    def table(self, table: str, *, version: int | None = None) -> DeltaTable:
        """A table as an object of Delta's own library.

        Args:
            table: name of the table.
            version: version to open; default: the newest.

        Raises:
            InputError: if the table was never written, or the lake's path is one that Delta's library confuses.
            LostError: if Delta's log of it can't be read, or it has no such version.
            DiskError: if the disk does not let it be read.
            StoreAwayError: if the object store does not answer.
        """
        uri = self.uri(table)
        if not in_object_store(self.url):
            refuse_confused_path(uri)
        try:
            return readable(
                self._asked(
                    f"the lake's table {table} in {without_password(uri)} can't be read",
                    lambda: DeltaTable(uri, version=version, storage_options=self._options),
                )
            )
        except TableNotFoundError as error:
            raise InputError(f"the lake has no table {table} yet; materialize the asset {table} first") from error
        except (DeltaError, OSError) as error:
            if version is not None and not isinstance(error, OSError):
                raise LostError(
                    f"version {version} of {table} is lost: Delta's log in {without_password(uri)}/_delta_log does not have it ({_first_words(error)}). Bring "
                    "the lake back from a backup"
                ) from error
            raise LostError(self._log_in_words(table, error)) from error

    def _log_in_words(self, table: str, error: Exception) -> str:
        """What is lost if Delta's log of a table can't be read, which file is torn, and the way back."""
        uri = self.uri(table)
        torn, mended = torn_log(uri)
        shown = without_password(uri)
        remedy = mended or (
            f"Bring the folder {shown} back from a backup; without one move it away: the sensors, or `churn demo`, make it again"
        )
        return f"the lake's table {table} is lost: Delta's log in {shown}/_delta_log can't be read, as {torn or _first_words(error)}. {remedy}"

    def _found(self, table: str) -> DeltaTable | None:
        """The newest version of a table, or `None`. Not by ``is_deltatable``, which would hold the GIL while it waits."""
        try:
            return self.table(table)
        except InputError:
            if not in_object_store(self.url):
                refuse_confused_path(self.uri(table))
            return None

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        """Call a function that uses the store; what a disk or an object store says becomes a sentence.

        Args:
            what: what can't be done if it fails, with table and address.
            ask: function to call.

        Raises:
            DiskError: if a disk is full, read-only or broken.
            StoreAwayError: if the object store does not answer.
        """
        if self._options is not None:
            require_endpoint()
        try:
            return ask()
        except (TableNotFoundError, CommitFailedError, ChurnError):
            raise
        except BaseException as error:  # a panic of Rust is no Exception
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            if self._options is not None and isinstance(error, OSError):
                raise away(self.url, error) from error
            if (said := disk_error(error, what)) is not None:
                raise said from error
            if is_panic(error):
                raise LostError(f"{what} ({_first_words(error)}); {BACKUP}") from error
            raise

    def replace(
        self,
        table: str,
        partitions: Mapping[str, pl.DataFrame],
        *,
        run_id: str,
        sources: Mapping[str, int] | None = None,
        is_foreign: Callable[[dict[str, list[StoredFile]]], bool] | None = None,
    ) -> Commit:
        """Replace partitions, all in one commit: a reader sees the old ones or the new ones.

        If the columns have changed since the table was last written, all its partitions must be written together.

        Args:
            table: name of the table.
            partitions: rows by period, sorted by key, without the column ``period``; at least one period.
            run_id: id of the run that writes, kept in the commit.
            sources: versions of the tables that the rows were made from, kept in the commit.
            is_foreign: function that says of the files that the table holds whether none is its own (another table's folder, or another
                lake's). Then no other partition stays; earlier versions stay readable.

        Returns:
            The table after the write.

        Raises:
            InputError: if the columns differ from those of the periods that stay, or if other writers were faster each time.
            LostError: if Delta's log of the table can't be read.
            DiskError: if the disk is full, read-only or broken; nothing was written.
        """
        whole = pl.concat(
            frame.with_columns(pl.lit(period, dtype=pl.String).alias(PERIOD))
            for period, frame in sorted(partitions.items())
        )
        if not in_object_store(self.url):
            refuse_confused_path(self.uri(table))
            self._require_room(table, whole)
        properties = CommitProperties(
            custom_metadata={"run_id": run_id, SOURCES: json.dumps(dict(sources or {}), sort_keys=True)}
        )
        for _ in range(TRIES):
            try:
                written = self._asked(
                    f"the lake's table {table} in {self.uri(table)} can't be written",
                    lambda: self._write(table, whole, set(partitions), properties, is_foreign),
                )
                files = files_of(written)
                return Commit(
                    int(written.version()), {period: digest_of_files(files.get(period, [])) for period in partitions}
                )
            except CommitFailedError as error:
                met = error
            except DeltaError as error:
                raise LostError(self._log_in_words(table, error)) from error
        raise InputError(
            f"table {table} was not written, as another run wrote it at the same time, again and again; look at "
            f"`churn data log {table}`, and run this again when the other has ended"
        ) from met

    def _require_room(self, table: str, rows: pl.DataFrame) -> None:
        """Refuse a write that may fill the disk or can't begin: Delta's library would leave half a file, and print Rust's own words.

        Raises:
            DiskError: if less is free than the rows need uncompressed, or nothing can be written there.
        """
        table_folder = Path(self.uri(table))
        folder = table_folder.parent
        what = f"the lake's table {table} in {self.uri(table)} can't be written"

        def free_bytes() -> int:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=table_folder if table_folder.is_dir() else folder):
                pass
            return shutil.disk_usage(folder).free

        free, needed = self._asked(what, free_bytes), rows.estimated_size() + OVERHEAD_BYTES
        if free < needed:
            raise DiskError(
                f"{what}: its disk has {free / 2**20:,.1f} MiB left, and the rows may need {needed / 2**20:,.1f} MiB; make room, then run "
                "this again. What was there before is unchanged"
            )

    def _write(
        self,
        table: str,
        whole: pl.DataFrame,
        periods: set[str],
        said: CommitProperties,
        is_foreign: Callable[[dict[str, list[StoredFile]]], bool] | None,
    ) -> DeltaTable:
        """Replace periods in the newest version of the table, and return it at the new version.

        The table is opened only once: in an object store that costs a request for every commit since the last checkpoint.

        Raises:
            CommitFailedError: if another writer has changed the table in the meantime.
        """
        write = partial(
            write_deltalake,
            data=whole,
            partition_by=[PERIOD],
            writer_properties=GROUPED,
            commit_properties=said,
            storage_options=self._options,
        )
        current = self._found(table)
        if current is None:
            try:
                write(self.uri(table), mode="error", configuration=KEEPS_VERSIONS)
            except DeltaError as error:
                if self._found(table) is None:
                    raise
                raise CommitFailedError(f"another writer made the table {table}") from error
            return self.table(table, version=FIRST_VERSION)
        if _periods(current) <= periods or (is_foreign is not None and is_foreign(files_of(current))):
            # No other period stays, so the columns may change.
            write(current, mode="overwrite", schema_mode="overwrite", configuration=KEEPS_VERSIONS)
        else:
            self._refuse_columns(table, current, whole)
            listed = ", ".join(f"'{period}'" for period in sorted(periods))
            write(current, mode="overwrite", predicate=f"{PERIOD} IN ({listed})")
        return current

    def takes(self, table: str, frame: pl.DataFrame) -> bool:
        """Whether rows with these columns can be added to the table; any can if it was never written."""
        current = self._found(table)
        return current is None or not self._other_columns(current, frame.with_columns(pl.lit("").alias(PERIOD)))

    def refuse_other_columns(self, table: str, frame: pl.DataFrame) -> None:
        """Refuse rows whose columns or types differ from the periods that stay: Delta would cast them silently.

        Args:
            table: name of the table; if it was never written, any columns are accepted.
            frame: rows without the column ``period``.

        Raises:
            InputError: if columns differ; it names them.
        """
        current = self._found(table)
        if current is not None:
            self._refuse_columns(table, current, frame.with_columns(pl.lit("").alias(PERIOD)))

    def _refuse_columns(self, table: str, there: DeltaTable, whole: pl.DataFrame) -> None:
        if changed := self._other_columns(there, whole):
            raise InputError(
                f"the lake's table {table} has other columns: {', '.join(changed)}; run `churn data migrate` if the platform is newer "
                "than the lake, else rebuild all its periods in one run (select all partitions; of a source that can't say when its "
                "rows became known with the tag churn/anew: true), as the definition of the table has changed"
            )

    def _other_columns(self, there: DeltaTable, whole: pl.DataFrame) -> list[str]:
        old, new = dict(self._scan(there).collect_schema()), dict(whole.schema)
        return [  # whatever their order
            f"{name} ({old.get(name, 'not there')} in the lake, {new.get(name, 'not there')} now)"
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name)
        ]

    def newest_writers(self, table: str, *, most: int) -> list[str]:
        """The ids of the runs that made the newest commits of a table, newest first.

        Raises:
            InputError: if the table was never written.
            LostError: if Delta's log of it can't be read.
        """
        return [str(commit["run_id"]) for commit in self.table(table).history(most) if "run_id" in commit]

    def sources(self, table: str, *, version: int | None = None) -> dict[str, int]:
        """The versions of the tables from which a version's rows were made.

        Args:
            table: name of the table.
            version: version of the table; default: the newest.

        Raises:
            InputError: if the table was never written.
        """
        newest = self.version(table)
        wanted = newest if version is None else version
        # Opened at an older version, deltalake lists the newest commits under wrong version numbers.
        commits = self.table(table).history(newest - wanted + 1)
        [commit] = [commit for commit in commits if commit["version"] == wanted]
        return {str(name): int(read) for name, read in json.loads(commit.get(SOURCES, "{}")).items()}

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns, as Delta's log has them: no file of the table is opened.

        Raises:
            InputError: if the table was never written.
            LostError: if Delta's log of it can't be read.
        """
        return [field.name for field in self.table(table).schema().fields]

    def scan(self, table: str, *, version: int | None = None, periods: Collection[str] | None = None) -> pl.LazyFrame:
        """A table as a lazy frame, to be read by ``collect``.

        Args:
            table: name of the table.
            version: version to read; default: the newest.
            periods: the only periods that will be read; default: all.

        Raises:
            InputError: if the table was never written.
            LostError: if a file of these periods is missing or cut off; Polars would find it late, and panic.
        """
        opened = self.table(table, version=version)
        self._require_files(table, opened, periods)
        return self._scan(opened)

    def _scan(self, table: DeltaTable) -> pl.LazyFrame:
        # Without a provider credentials are found as Delta's own library does, and not by boto3 if that is installed.
        return pl.scan_delta(table, storage_options=self._reading, credential_provider=None)

    def _require_files(self, table: str, opened: DeltaTable, periods: Collection[str] | None) -> None:
        """Refuse a table in a folder of which a file is not as Delta's log says; in an object store a file is whole or missing."""
        if self._options is None:
            files = {period: stored for period, stored in files_of(opened).items() if periods is None or period in periods}
            if broken := self.damaged(table, files):
                raise LostError(_file_in_words(table, min(broken), broken[min(broken)]))

    @contextmanager
    def reading(self, versions: Mapping[str, int | None]) -> Iterator[None]:
        """A block that reads lazy frames made from ``scan``: what is torn becomes a sentence.

        Args:
            versions: the tables that it reads, with their versions; `None` for the newest.

        Raises:
            LostError: if a file can't be read; it names the file.
            DiskError: if the disk does not let it be read.
            StoreAwayError: if the object store does not answer.
        """
        try:
            yield
        except BaseException as error:  # a panic of Rust is no Exception
            is_torn = is_panic(error) or (isinstance(error, pl.exceptions.PolarsError) and "parquet" in str(error))
            if not (is_torn or isinstance(error, OSError)):
                raise
            what = f"the lake's tables {', '.join(versions)} in {self.url} can't be read"
            if (said := disk_error(error, what)) is not None:
                raise said from error
            for table, version in versions.items():
                period, torn = torn_data(self.uri(table), files_of(self.table(table, version=version)))
                if torn:
                    raise LostError(_file_in_words(table, period, torn)) from error
            if isinstance(error, OSError) and self._options is not None:
                raise away(self.url, error) from error
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            raise LostError(f"{what} ({_first_words(error)}); {BACKUP}") from error

    def collect(
        self,
        table: str,
        rows: pl.LazyFrame,
        *,
        version: int | None = None,
        engine: Literal["auto", "streaming"] = "auto",
    ) -> pl.DataFrame:
        """Read the rows of a lazy frame that was made from ``scan``.

        Args:
            table: name of the table that it reads.
            rows: rows to read.
            version: version that it reads; default: the newest.
            engine: engine of Polars.

        Raises:
            ChurnError: as ``reading`` does.
        """
        with self.reading({table: version}):
            return rows.collect(engine=engine)

    def read(
        self, table: str, period: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of one partition, in some columns or all, without the column ``period``.

        Raises:
            InputError: if the table was never written.
            LostError: if a file of the period is missing, cut off or can't be read.
        """
        rows = self.scan(table, version=version, periods=[period]).filter(pl.col(PERIOD) == period).drop(PERIOD)
        return self.collect(table, rows if columns is None else rows.select(columns), version=version)

    def periods(self, table: str, *, version: int | None = None) -> list[str]:
        """The periods that a table has rows of."""
        return sorted(_periods(self.table(table, version=version)))

    def files(self, table: str) -> dict[str, list[StoredFile]] | None:
        """The files of each period of a table that has rows; `None` if it was never written.

        Raises:
            LostError: if Delta's log of it can't be read.
        """
        current = self._found(table)
        return None if current is None else files_of(current)

    def damaged(self, table: str, files: dict[str, list[StoredFile]]) -> dict[str, str]:
        """The periods of which a file is missing or has another size than Delta's log says, with that file in words."""
        return self._asked(
            f"the files of the lake's table {table} in {self.uri(table)} can't be seen",
            lambda: damaged(self.uri(table), files),
        )

    def spans(self, table: str, column: str) -> dict[str, tuple[int, int]]:
        """The least and the greatest value of a whole-number column in each period, from the table's statistics alone."""
        actions = pl.DataFrame(self.table(table).get_add_actions(flatten=True))
        spans: dict[str, tuple[int, int]] = {}
        if actions.height:
            by_period = actions.group_by(f"partition.{PERIOD}").agg(
                pl.col(f"min.{column}").min().alias("least"), pl.col(f"max.{column}").max().alias("greatest")
            )
            spans = {str(period): (int(least), int(greatest)) for period, least, greatest in by_period.iter_rows()}
        return spans

    def versions(self, tables: Iterable[str]) -> dict[str, int]:
        """The newest version of each of some tables, taken before a read so that all reads of a table see the same version.

        Raises:
            InputError: if one was never written.
        """
        return {table: self.version(table) for table in tables}

    def has(self, table: str) -> bool:
        """Whether a table was ever written.

        Raises:
            StoreAwayError: if the object store does not answer.
        """
        return self._found(table) is not None

    def version(self, table: str) -> int:
        """The newest version of a table.

        Raises:
            InputError: if the table was never written.
        """
        return int(self.table(table).version())


def _first_words(error: BaseException) -> str:
    """The beginning of an error of Delta's library, which may go on over many lines."""
    return " ".join(str(error).split())[:120]


def _file_in_words(table: str, period: str, said: str) -> str:
    """What is lost of a table if a file of it can't be read."""
    where = f"{table} {period}" if period[:1].isdigit() else table  # a table without time has one period that is no date
    return f"{where} is lost in part: {said}. Bring the lake back from a backup, or materialize {table} again" + (
        "" if where == table else " for this period"
    )


def _periods(table: DeltaTable) -> set[str]:
    return {str(part[PERIOD]) for part in table.partitions()}
