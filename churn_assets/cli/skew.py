"""`churn skew`: whether what was served is what the batch path gives."""

import asyncio
import sys
from typing import Final

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.served_log import served_rows
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.skew.replay import replay
from churn_assets.skew.report import SkewReport, lines, sentence
from churn_store.clock import parse_time
from churn_store.errors import DatabaseAwayError, InputError
from churn_store.storage.online_store import newest_snapshot

SKEW: Final = 3
"""Exit status where something differs."""

MOST: Final = 100_000


@click.command()
@click.option("--since", metavar="TIME", help="Replay predictions from this time on; default: all that are logged.")
@click.option(
    "--limit", type=click.IntRange(1, MOST), default=10_000, show_default=True, help="Most predictions, the newest ones."
)
@click.option("--show-ids", is_flag=True, help="Name the customers of the examples.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def skew(since: str | None, limit: int, *, show_ids: bool, as_json: bool) -> None:
    """Replay logged requests through the batch path, and say feature by feature what differs and why.

    Looked-up features are compared with the lake, probabilities with the batch scorer. Exit status 0 with no mismatch, 3 with any, 2 where
    nothing could be replayed.
    """
    settings = Settings.load()
    since_s = 0.0 if since is None else parse_time(since, where="--since").timestamp()
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    report = replayed(
        serving, Lake(settings.lake_url), has_time=settings.has_time, since_s=since_s, limit=limit, show_ids=show_ids
    )
    if as_json:
        click.echo(
            msgspec.json.encode({**msgspec.to_builtins(report), "equal": report.is_equal, "verdict": sentence(report)})
        )
    else:
        click.echo("\n".join(lines(report)))
    sys.exit(0 if report.is_equal else SKEW)


def replayed(
    serving: ServingStore, lake: Lake, *, has_time: bool, since_s: float, limit: int, show_ids: bool
) -> SkewReport:
    """Replay the logged requests of a company.

    Raises:
        InputError: if none was logged since then, or the database does not answer.
    """
    try:
        rows, damaged = served_rows(serving.engine, since_s=since_s, limit=limit)
    except SQLAlchemyError as error:
        raise DatabaseAwayError(
            f"the serving database does not answer ({type(error).__name__}); `churn doctor` says what to do"
        ) from error
    if not rows and not damaged:
        raise InputError(
            "the prediction log holds no prediction of that time, so nothing could be replayed; expected some: ask the service "
            "for predictions, or give an earlier --since"
        )
    return replay(
        rows,
        damaged,
        lake=lake,
        files=serving.files,
        online=asyncio.run(newest_snapshot(serving.online_url)),
        has_time=has_time,
        with_customers=show_ids,
    )
