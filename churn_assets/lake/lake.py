"""The lake: one Delta Lake table an asset, partitioned by period.

Belongs here: writing exactly the given partitions in one commit; reading; versions. Does not belong here: what the rows mean,
and whether they are right (``churn_assets.contracts``, before the write).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from churn_assets.lake.contents import PERIOD, StoredFile, damaged, digest_of_files, files_of
from churn_store.errors import InputError, LostError
from churn_store.storage.object_storage import CONNECT_S, RETRIES, away, in_object_store, require_endpoint

KEEPS_VERSIONS = {"delta.enableExpiredLogCleanup": "false"}
"""Keeps every version: by default Delta drops those older than 30 days, and a model's training set must be reproducible for ever."""

GROUPED = WriterProperties(compression="SNAPPY", max_row_group_size=131_072)
"""Small row groups, so that a reader who needs few rows can skip most groups by their statistics."""

PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")

SOURCES = "sources"
"""The metadata key of a commit with the versions of the tables that its rows were made from."""

PATIENCE_S = 30
"""The timeout of one request to an object store; a failed request is repeated for as long again."""

TRIES = 5
"""The number of attempts at a write: after another writer's commit it reads the table again and is repeated."""

FIRST_VERSION = 0

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
        self._options = _delta_options(patience_s) if remote else None
        self._reading = _polars_options(patience_s) if remote else None

    def uri(self, table: str) -> str:
        """The address of a table."""
        return f"{self.url}/{table}"

    def table(self, table: str, *, version: int | None = None) -> DeltaTable:
        """A table as an object of Delta's own library.

        Args:
            table: name of the table.
            version: version to open; default: the newest.

        Raises:
            InputError: if the table was never written.
            LostError: if Delta's log of it can't be read.
            StoreAwayError: if the object store does not answer.
            deltalake.exceptions.DeltaError: if it has no such version.
        """
        uri = self.uri(table)
        try:
            return self._asked(lambda: DeltaTable(uri, version=version, storage_options=self._options))
        except TableNotFoundError as error:
            raise InputError(f"the lake has no table {table} yet; materialize the asset {table} first") from error
        except DeltaError as error:
            if version is not None:
                raise
            raise LostError(
                f"the lake's table {table} is lost: Delta's log in {uri}/_delta_log can't be read ({_first_words(error)}). Bring the folder "
                f"{uri} back from a backup; without one move it away: the schedules, or `churn demo`, make it again"
            ) from error

    def _found(self, table: str) -> DeltaTable | None:
        """The newest version of a table, or `None`. Not by ``is_deltatable``, which would hold the GIL while it waits."""
        try:
            return self.table(table)
        except InputError:
            return None

    def _asked(self, ask: Callable[[], T]) -> T:
        """Call a function that uses the store; an object store's I/O errors become ``StoreAwayError``, a folder's stay."""
        if self._options is not None:
            require_endpoint()
        try:
            return ask()
        except TableNotFoundError:
            raise
        except OSError as error:
            if in_object_store(self.url):
                raise away(self.url, error) from error
            raise

    def replace(
        self,
        table: str,
        partitions: Mapping[str, pl.DataFrame],
        *,
        run_id: str,
        sources: Mapping[str, int] | None = None,
    ) -> Commit:
        """Replace partitions, all in one commit: a reader sees the old ones or the new ones.

        If the columns have changed since the table was last written, all its partitions must be written together.

        Args:
            table: name of the table.
            partitions: rows by period, sorted by key, without the column ``period``; at least one period.
            run_id: id of the run that writes, kept in the commit.
            sources: versions of the tables that the rows were made from, kept in the commit.

        Returns:
            The table after the write.

        Raises:
            InputError: if the columns differ from those of the periods that stay, or if other writers were faster each time.
        """
        whole = pl.concat(
            frame.with_columns(pl.lit(period, dtype=pl.String).alias(PERIOD))
            for period, frame in sorted(partitions.items())
        )
        if not in_object_store(self.url):
            _refuse_special(self.uri(table))
            Path(self.uri(table)).parent.mkdir(parents=True, exist_ok=True)
        properties = CommitProperties(
            custom_metadata={"run_id": run_id, SOURCES: json.dumps(dict(sources or {}), sort_keys=True)}
        )
        for _ in range(TRIES):
            try:
                written = self._asked(lambda: self._write(table, whole, set(partitions), properties))
                files = files_of(written)
                return Commit(
                    int(written.version()), {period: digest_of_files(files.get(period, [])) for period in partitions}
                )
            except CommitFailedError as error:
                met = error
        raise InputError(
            f"table {table} was not written, as another run wrote it at the same time, again and again; look at "
            f"`churn data log {table}`, and run this again when the other has ended"
        ) from met

    def _write(self, table: str, whole: pl.DataFrame, periods: set[str], said: CommitProperties) -> DeltaTable:
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
        if _periods(current) <= periods:
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

    def scan(self, table: str, *, version: int | None = None) -> pl.LazyFrame:
        """A table as a lazy frame.

        Args:
            table: name of the table.
            version: version to read; default: the newest.

        Raises:
            InputError: if the table was never written.
        """
        return self._scan(self.table(table, version=version))

    def _scan(self, table: DeltaTable) -> pl.LazyFrame:
        # Without a provider credentials are found as Delta's own library does, and not by boto3 if that is installed.
        return pl.scan_delta(table, storage_options=self._reading, credential_provider=None)

    def read(
        self, table: str, period: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of one partition, in some columns or all, without the column ``period``."""
        rows = self.scan(table, version=version).filter(pl.col(PERIOD) == period).drop(PERIOD)
        try:
            return (rows if columns is None else rows.select(columns)).collect()
        except FileNotFoundError as error:
            where = table if version is None else f"version {version} of {table}"
            raise LostError(
                f"{where} is lost in part: {_first_words(error)}. Bring the lake back from a backup, or materialize {table} again"
            ) from error

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
        return self._asked(lambda: damaged(self.uri(table), files))

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


def _first_words(error: Exception) -> str:
    """The beginning of an error of Delta's library, which may go on over many lines."""
    return " ".join(str(error).split())[:120]


def _periods(table: DeltaTable) -> set[str]:
    return {str(part[PERIOD]) for part in table.partitions()}


def _delta_options(patience_s: int) -> dict[str, str]:
    """Options for Delta's own library. Those that keep two writers apart are fixed here, whatever the environment says."""
    return {
        "allow_http": "true",
        "timeout": f"{patience_s}s",
        "connect_timeout": f"{min(CONNECT_S, patience_s)}s",
        "max_retries": str(RETRIES),
        "retry_timeout": f"{patience_s}s",
        "conditional_put": "etag",
        "AWS_S3_ALLOW_UNSAFE_RENAME": "false",
    }


def _polars_options(patience_s: int) -> dict[str, str | int]:
    """Options for Polars, which reads the rows."""
    return {
        "allow_http": "true",
        "timeout": f"{patience_s}s",
        "connect_timeout": f"{min(CONNECT_S, patience_s)}s",
        "max_retries": RETRIES,
        "retry_timeout_ms": patience_s * 1_000,
    }


def _refuse_special(uri: str) -> None:
    """Refuse a folder that readers of Delta tables would look for under an escaped name.

    Raises:
        InputError: if its path has a space, a letter with an accent, or another special character.
    """
    if not PLAIN.fullmatch(uri):
        strange = ", ".join(sorted({repr(letter) for letter in uri if not PLAIN.fullmatch(letter)}))
        raise InputError(
            f"the lake can't lie in {uri}: Delta tables are not found again under a path with {strange}; set `home` in churn.yaml to "
            "a path of letters without accents, digits and - _ . ~"
        )
