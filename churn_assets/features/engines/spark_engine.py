"""The Spark engine, for a history that outgrows one machine: the same expressions, on the files of the lake.

Belongs here: the session, and reading a version of a Delta table as its Parquet files. It needs the extra ``spark`` and Java;
without them the first snapshot says what is missing.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from churn_assets.features.engines.base import History
from churn_assets.features.snapshot import features_at
from churn_assets.lake.contents import PERIOD
from churn_assets.periods import epoch_s
from churn_assets.settings.engine import Spark
from churn_store.errors import InputError
from churn_store.mapping.tables import Table

SMALL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""Default options for Spark on this machine alone; ``spark.options`` of churn.yaml override them."""

SAME = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
"""Options that always apply: times are UTC, and integer overflow is an error instead of a wrong number."""


class SparkEngine:
    """Spark, as ``churn.yaml`` describes it.

    Args:
        settings: address of Spark, and the options of its session.
    """

    def __init__(self, settings: Spark) -> None:
        self._settings = settings

    def snapshots(self, history: History, days: Sequence[date]) -> Iterator[tuple[date, pl.DataFrame]]:
        """See ``Engine``.

        Raises:
            InputError: if pyspark or Java is missing.
        """
        session = _session(self._settings)
        for day in sorted(days):
            tables = {table: _rows(session, table, history, day) for table in history.versions}
            yield day, features_at(tables, history.features, epoch_s(day), history.rule, history.roles)


def _session(settings: Spark) -> Any:
    try:
        from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415 - an extra
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError("`engine: spark` needs pyspark, which is not installed; run `make setup-spark`") from error
    builder = SparkSession.builder.appName("churn").master(settings.master)
    local = SMALL if settings.master.startswith("local") else {}
    for name, value in {**local, **settings.options, **SAME}.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise InputError(
            "`engine: spark` needs Java 17 or 21, and none could be started; install one, such as Debian's openjdk-17-jre-headless, "
            "or set JAVA_HOME to it"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    return session


def _rows(session: Any, table: Table, history: History, day: date) -> Any:
    """The rows of a table that a snapshot needs, as a Spark frame."""
    delta = history.lake.table(table, version=history.versions[table])
    lookback = history.lookback(table, day)
    since = [(PERIOD, ">=", lookback.since)] if lookback.since else []
    rows = _parquet(session, delta, [*since, (PERIOD, "<", lookback.until)])
    if lookback.endings:
        earlier = _parquet(session, delta, [(PERIOD, "<", lookback.since)])
        rows = rows.union(earlier.where(earlier["event_type"].isin(list(lookback.endings))))
    return rows


def _parquet(session: Any, delta: DeltaTable, periods: list[tuple[str, str, str]]) -> Any:
    """Some periods of a table, without the column ``period``: Delta keeps it in the paths, not in the files."""
    from pyspark.sql.types import StructType  # noqa: PLC0415 - an extra

    columns = json.loads(delta.schema().to_json())
    columns["fields"] = [column for column in columns["fields"] if column["name"] != PERIOD]
    schema = StructType.fromJson(columns)
    files = [uri if "://" in uri else f"file://{uri}" for uri in delta.file_uris(file_pruning_predicate=periods)]
    return session.read.schema(schema).parquet(*files) if files else session.createDataFrame([], schema)
