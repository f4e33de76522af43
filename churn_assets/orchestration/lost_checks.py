"""The asset check ``nothing_lost`` of each table of the lake: says on the asset's page which periods are lost, and how they come back.

It is evaluated after each write, by hand from the page, and by the sensor ``watch_tables``, as files are lost without any run.
Does not belong here: what lost means (``lost_periods``).
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.orchestration.lost_periods import NOT_REPORTED, in_words, is_being_written, lost, recorded
from churn_store.errors import LostError

CHECK = "nothing_lost"

IN_LAKE = "deltalake"
"""The kind of an asset that is a table of the lake."""

DESCRIPTION = (
    "every period that was written is in the lake as it was written; behind a lost one nothing is made until it is back, and the "
    "sensors ask for it again"
)


def lost_checks(tables: Iterable[str]) -> list[dg.AssetChecksDefinition]:
    """One check for each table."""
    return [_lost_check(table) for table in tables]


def _lost_check(table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=table, name=CHECK, description=DESCRIPTION)
    def nothing_lost(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        said = what_is_lost(context.instance, lake, table)
        return dg.AssetCheckResult(passed=not said, description=said or whole_in_words(context.instance, table))

    return nothing_lost


def what_is_lost(instance: dg.DagsterInstance, lake: Lake, table: str) -> str:
    """What is lost of a table and how it comes back, in a sentence; empty if nothing is.

    Raises:
        StoreAwayError: if the object store does not answer, which says nothing about the table.
    """
    try:
        found = lost(instance, lake, table)
        if NOT_REPORTED in found.values() and is_being_written(instance, lake, table):
            found = {period: said for period, said in found.items() if said != NOT_REPORTED}  # their run has not ended
    except LostError as error:
        return str(error)
    return in_words(table, found) if found else ""


def whole_in_words(instance: dg.DagsterInstance, table: str) -> str:
    """That nothing is lost, with the number of periods."""
    number = len(recorded(instance, table))
    return f"{number} period{'' if number == 1 else 's'} as written"


def evaluations(
    instance: dg.DagsterInstance, lake: Lake, tables: Sequence[str], *, known: dict[str, str]
) -> tuple[list[dg.AssetCheckEvaluation], dict[str, str]]:
    """The checks whose answer has changed since it was told last.

    Args:
        instance: instance that remembers the assets.
        lake: lake of the company.
        tables: names of the tables.
        known: what was told last of each table; what was never told counts as nothing lost.

    Returns:
        The evaluations, and what is told now of each table of which something is lost.
    """
    now = {table: said for table in tables if (said := what_is_lost(instance, lake, table))}
    changed = [table for table in tables if now.get(table, "") != known.get(table, "")]
    told = [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(table),
            check_name=CHECK,
            passed=table not in now,
            metadata={},
            description=now.get(table) or whole_in_words(instance, table),
        )
        for table in changed
    ]
    return told, now
