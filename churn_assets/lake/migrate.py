"""Brings an older lake to the present columns.

Belongs here: optional columns that were added to the raw tables, and the property that keeps all versions. Does not belong here:
the serving database, which has migrations of its own (``churn migrate``).
"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl
from deltalake import Field
from deltalake.exceptions import CommitFailedError
from deltalake.schema import PrimitiveType

from churn_assets.lake.lake import KEEPS_VERSIONS, Lake
from churn_store.errors import InputError
from churn_store.mapping.tables import OPTIONAL, SCHEMAS, WHERE_MAPPED, Table

ALL_TABLES = (*OPTIONAL, "customer_features", "churn_labels", "training_set", "churn_scores")
"""The tables that an older lake may have written without the property that keeps all versions."""

[KEEPS] = KEEPS_VERSIONS

DELTA_TYPES = {pl.Int64: "long", pl.String: "string"}


def lacking(lake: Lake, table: str, given: Collection[str] = ()) -> list[str]:
    """The optional columns that the lake's raw table lacks; none if there is no such table.

    Args:
        lake: the lake to read.
        table: name of the table.
        given: optional columns that the source has of it; some belong into the lake only then.
    """
    if table not in OPTIONAL or not lake.has(table):
        return []
    present = lake.columns(table)
    wanted = [*OPTIONAL[table], *(name for name in WHERE_MAPPED[table] if name in given)]  # type: ignore[index]
    return [name for name in wanted if name not in present]


def migrate_lake(lake: Lake, given: Mapping[Table, Collection[str]] | None = None) -> dict[str, list[str]]:
    """Add missing optional columns, and keep all versions from now on. No row is rewritten, and a present lake is left unchanged.

    Args:
        lake: the lake to migrate.
        given: optional columns that the source has, by table.

    Returns:
        The columns that were added, by table.

    Raises:
        InputError: if a run wrote the table at the same time.
    """
    added: dict[str, list[str]] = {}
    for table in OPTIONAL:
        names = lacking(lake, table, (given or {}).get(table, ()))
        if not names:
            continue
        kinds = {**SCHEMAS[table], **WHERE_MAPPED[table]}
        fields = [Field(name, PrimitiveType(DELTA_TYPES[kinds[name]]), nullable=True) for name in names]
        _alter(lake, table, columns=fields)
        added[table] = names
    for name in ALL_TABLES:
        if lake.has(name) and lake.table(name).metadata().configuration.get(KEEPS) != KEEPS_VERSIONS[KEEPS]:
            _alter(lake, name, properties=KEEPS_VERSIONS)
    return added


def _alter(lake: Lake, table: str, *, columns: Sequence[Field] = (), properties: Mapping[str, str] | None = None) -> None:
    alter = lake.table(table).alter
    try:
        if columns:
            alter.add_columns(list(columns))
        if properties:
            alter.set_table_properties(dict(properties))
    except CommitFailedError as error:
        raise InputError(
            f"table {table} was not migrated, as another process wrote it at the same time; run `churn data migrate` again"
        ) from error
