"""Rewrites the words of an older lake and tells Dagster, so that what was made of them is made again.

Belongs here: the order of both. Does not belong here: the rewriting (``churn_assets.lake.rewrite``).
"""

from collections.abc import Iterator

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import is_older
from churn_assets.lake.rewrite import Rewritten, rewrite_words
from churn_assets.orchestration.instance import report_restored, require_no_run, untold
from churn_assets.settings.source import SourceSettings
from churn_assets.tables import Source
from churn_store.mapping.tables import Table


def migrate_words(lake: Lake, described: SourceSettings, source: Source, instance: dg.DagsterInstance) -> Iterator[str]:
    """Give an older lake's words the present writing; a lake that has it is left as it is.

    Args:
        lake: lake of the company.
        described: section ``source``.
        source: source of its rows, which knows which words are numbers.
        instance: instance that remembers the assets.

    Yields:
        What changed in each table, in words.

    Raises:
        InputError: if the source can't be read, a run is under way, the lake is newer than this platform, or another run wrote a table at the same time.
        StoreAwayError: if the object store does not answer.
    """
    if not is_older(lake):
        return
    require_no_run(instance, "customers")
    numeric: dict[str, frozenset[str]] = {table: source.numeric_words(table) for table in described.raw_tables}

    def tell(done: Rewritten) -> None:
        news = untold(instance, done.table, done.periods, empty=None)
        report_restored(
            instance,
            lake,
            done.table,
            news,
            of=done.before,
            version=done.version,
            said="the words of version {of} were rewritten by `churn data migrate`",
        )

    for done in rewrite_words(lake, digested=_digested(described), numeric=numeric, tell=tell):
        merged = f", of which {done.merged:,} became another's and were left out" if done.merged else ""
        yield f"{done.table}: the words of {done.changed:,} rows have one writing now{merged} (version {done.version})"


def _digested(described: SourceSettings) -> frozenset[Table]:
    """The tables whose rows have no id of their own."""
    keys: dict[Table, str] = {"events": "event_id", "payments": "payment_id"}
    tables = ((table, described.described(table), key) for table, key in keys.items())
    return frozenset(table for table, mapped, key in tables if mapped is not None and key not in mapped.columns)
