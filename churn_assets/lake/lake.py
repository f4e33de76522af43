"""The lake: one Delta Lake table an asset, partitioned by period.

Belongs here: writing exactly the partitions that were asked for, in one commit; reading; versions. Does not belong
here: what the rows mean, and whether they are right (``churn_assets.contracts``, before the write).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from churn_store.errors import InputError
from churn_store.storage.object_storage import CONNECT_S, RETRIES, away, in_object_store, require_endpoint

PERIOD = "period"
"""The partition column of every table."""

KEEPS_VERSIONS = {"delta.enableExpiredLogCleanup": "false"}
"""Delta by itself forgets versions that are older than 30 days; here a model's training set can be made again for ever."""

GROUPED = WriterProperties(compression="SNAPPY", max_row_group_size=131_072)
"""Small groups of rows, so that a reader who looks for few can leave out most by their statistics."""

PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")

SOURCES = "sources"
"""Where a commit keeps the versions of the tables that its rows were made from."""

PATIENCE_S = 30
"""How long one request to an object store may take; one that has failed is repeated for as long again."""

TRIES = 5
"""A write that meets another writer's commit looks again and is repeated."""

FIRST_VERSION = 0

T = TypeVar("T")


class Lake:
    """Delta tables under one root.

    In an object store a commit is a put that fails where the version is there already, so that of two writers one looks again.

    Args:
        url: a folder or an object-store address.
        patience_s: how long one request to an object store may take.
    """

    def __init__(self, url: str, *, patience_s: int = PATIENCE_S) -> None:
        self.url = url.rstrip("/")
        remote = in_object_store(url)
        self._options = _delta_options(patience_s) if remote else None
        self._reading = _polars_options(patience_s) if remote else None

    def uri(self, table: str) -> str:
        """Where a table is."""
        return f"{self.url}/{table}"

    def table(self, table: str, *, version: int | None = None) -> DeltaTable:
        """A table as Delta's own library holds it.

        Args:
            table: name of the table.
            version: as it was then; default: as it is now.

        Raises:
            InputError: if the table was never written.
            StoreAwayError: the object store does not answer.
            deltalake.exceptions.DeltaError: it has no such version.
        """
        uri = self.uri(table)
        try:
            return self._asked(lambda: DeltaTable(uri, version=version, storage_options=self._options))
        except TableNotFoundError as error:
            raise InputError(f"the lake has no table {table} yet; materialize the asset {table} first") from error

    def _found(self, table: str) -> DeltaTable | None:
        """A table as it is now, if it was ever written; ``is_deltatable`` would hold Python's lock while it waits."""
        try:
            return self.table(table)
        except InputError:
            return None

    def _asked(self, ask: Callable[[], T]) -> T:
        """Ask an object store for something; a folder's errors stay what they are."""
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
    ) -> int:
        """Replace partitions, all in one commit: a reader sees the old ones or the new ones.

        Where the columns have changed since the table was last written, all its partitions must be written together.

        Args:
            table: name of the table.
            partitions: by period, sorted by key, without the column ``period``; at least one.
            run_id: run id of the run that writes, kept in the commit.
            sources: versions of the tables that the rows were made from, kept in the commit.

        Returns:
            The version of the table after it.

        Raises:
            InputError: other columns than the periods that stay have.
        """
        whole = pl.concat(
            frame.with_columns(pl.lit(period, dtype=pl.String).alias(PERIOD))
            for period, frame in sorted(partitions.items())
        )
        if not in_object_store(self.url):
            _refuse_special(self.uri(table))
            Path(self.uri(table)).parent.mkdir(parents=True, exist_ok=True)
        said = CommitProperties(
            custom_metadata={"run_id": run_id, SOURCES: json.dumps(dict(sources or {}), sort_keys=True)}
        )
        for _ in range(TRIES):
            try:
                return self._asked(lambda: self._write(table, whole, set(partitions), said))
            except CommitFailedError as error:
                met = error
        raise InputError(
            f"table {table} was not written, as another run wrote it at the same time, again and again; look at "
            f"`churn data log {table}`, and run this again when the other has ended"
        ) from met

    def _write(self, table: str, whole: pl.DataFrame, periods: set[str], said: CommitProperties) -> int:
        """Replace the periods beside what the table holds now; the version after it.

        The table is opened once: each time costs an object store a request for every commit since the last checkpoint.

        Raises:
            CommitFailedError: another writer has changed since what this one looked at.
        """
        write = partial(
            write_deltalake,
            data=whole,
            partition_by=[PERIOD],
            writer_properties=GROUPED,
            commit_properties=said,
            storage_options=self._options,
        )
        there = self._found(table)
        if there is None:
            try:
                write(self.uri(table), mode="error", configuration=KEEPS_VERSIONS)
            except DeltaError as error:
                if self._found(table) is None:
                    raise
                raise CommitFailedError(f"another writer made the table {table}") from error
            return FIRST_VERSION
        if _periods(there) <= periods:
            # Nothing of another period is there to be kept, so the columns may be new.
            write(there, mode="overwrite", schema_mode="overwrite", configuration=KEEPS_VERSIONS)
        else:
            self._refuse_columns(table, there, whole)
            listed = ", ".join(f"'{period}'" for period in sorted(periods))
            write(there, mode="overwrite", predicate=f"{PERIOD} IN ({listed})")
        return int(there.version())

    def takes(self, table: str, frame: pl.DataFrame) -> bool:
        """Whether rows of these columns can lie beside all that the table has; any can where it has nothing."""
        there = self._found(table)
        return there is None or not self._other_columns(there, frame.with_columns(pl.lit("").alias(PERIOD)))

    def refuse_other_columns(self, table: str, frame: pl.DataFrame) -> None:
        """Refuse rows of other columns or types than the periods that stay: Delta would cast them in silence.

        Args:
            table: which; any columns will do where it was never written.
            frame: without the column ``period``.

        Raises:
            InputError: with the names of the columns.
        """
        there = self._found(table)
        if there is not None:
            self._refuse_columns(table, there, frame.with_columns(pl.lit("").alias(PERIOD)))

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
        """The versions of the tables that what a version of a table wrote was made from.

        Args:
            table: name of the table.
            version: its version; default: the newest.

        Raises:
            InputError: if the table was never written.
        """
        newest = self.version(table)
        wanted = newest if version is None else version
        # Of a table opened at an older version deltalake tells the newest commits, under wrong versions.
        commits = self.table(table).history(newest - wanted + 1)
        [commit] = [commit for commit in commits if commit["version"] == wanted]
        return {str(name): int(read) for name, read in json.loads(commit.get(SOURCES, "{}")).items()}

    def scan(self, table: str, *, version: int | None = None) -> pl.LazyFrame:
        """A table, lazily.

        Args:
            table: name of the table.
            version: as it was then; default: as it is now.

        Raises:
            InputError: if the table was never written.
        """
        return self._scan(self.table(table, version=version))

    def _scan(self, table: DeltaTable) -> pl.LazyFrame:
        # Credentials as Delta's own library finds them, and not as boto3 would where it is installed.
        return pl.scan_delta(table, storage_options=self._reading, credential_provider=None)

    def read(
        self, table: str, period: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """One partition, in some columns or all, without the column ``period``."""
        rows = self.scan(table, version=version).filter(pl.col(PERIOD) == period).drop(PERIOD)
        return (rows if columns is None else rows.select(columns)).collect()

    def periods(self, table: str, *, version: int | None = None) -> list[str]:
        """The periods that a table has rows of."""
        return sorted(_periods(self.table(table, version=version)))

    def spans(self, table: str, column: str) -> dict[str, tuple[int, int]]:
        """The least and the greatest value of a whole-number column in each period, from the table's statistics alone."""
        actions = pl.DataFrame(self.table(table).get_add_actions(flatten=True))
        found: dict[str, tuple[int, int]] = {}
        if actions.height:
            by_period = actions.group_by(f"partition.{PERIOD}").agg(
                pl.col(f"min.{column}").min().alias("least"), pl.col(f"max.{column}").max().alias("greatest")
            )
            found = {str(period): (int(least), int(greatest)) for period, least, greatest in by_period.iter_rows()}
        return found

    def versions(self, tables: Iterable[str]) -> dict[str, int]:
        """The newest version of each of some tables: taken first, so that all that is read is read at one version.

        Raises:
            InputError: if one was never written.
        """
        return {table: self.version(table) for table in tables}

    def has(self, table: str) -> bool:
        """Whether a table was ever written.

        Raises:
            StoreAwayError: the object store does not answer.
        """
        return self._found(table) is not None

    def version(self, table: str) -> int:
        """The newest version of a table.

        Raises:
            InputError: if the table was never written.
        """
        return int(self.table(table).version())


def _periods(table: DeltaTable) -> set[str]:
    return {str(part[PERIOD]) for part in table.partitions()}


def _delta_options(patience_s: int) -> dict[str, str]:
    """For Delta's own library. What keeps two writers apart is not left to variables."""
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
    """For the reader of rows."""
    return {
        "allow_http": "true",
        "timeout": f"{patience_s}s",
        "connect_timeout": f"{min(CONNECT_S, patience_s)}s",
        "max_retries": RETRIES,
        "retry_timeout_ms": patience_s * 1_000,
    }


def _refuse_special(uri: str) -> None:
    """Refuse a folder that readers of Delta tables look for under another name.

    Raises:
        InputError: it has a space, a letter with an accent, or another special character.
    """
    if not PLAIN.fullmatch(uri):
        strange = ", ".join(sorted({repr(letter) for letter in uri if not PLAIN.fullmatch(letter)}))
        raise InputError(
            f"the lake can't lie in {uri}: Delta tables are not found again under a path with {strange}; set `home` in churn.yaml to "
            "a path of letters without accents, digits and - _ . ~"
        )
