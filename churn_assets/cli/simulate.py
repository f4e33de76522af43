"""`churn simulate OUT`: the tables of a synthetic company as files, and the ``churn.yaml`` that reads them.

Belongs here: files, their columns, and their description as a ``files`` source. Does not belong here: the rows
(``simulator.source``) and what the best possible prediction is (``verify_simulator``).

The tables go out month by month, so that a company of any size needs memory for one month.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import click
import polars as pl
import yaml
from pydantic import ValidationError

from churn_assets.cli.verify_simulator import run_verify
from churn_assets.inspection.folder import instance_files, write_all
from churn_assets.periods import Calendar, epoch_s
from churn_assets.simulator.months import months_of
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.settings_errors import one_line

Format = Literal["csv", "parquet"]

COLUMNS: dict[Table, dict[str, str]] = {
    "customers": {
        "customer_id": "customer_id",
        "signed_up": "signed_up_s",
        "occurred": "occurred_s",
        "known": "known_s",
    },
    "events": {
        "event_id": "event_id",
        "customer_id": "customer_id",
        "event_type": "event_type",
        "occurred": "occurred_s",
        "known": "known_s",
    },
    "payments": {
        "payment_id": "payment_id",
        "customer_id": "customer_id",
        "amount": "amount_cents",
        "status": "status",
        "due": "due_s",
        "list_price": "list_cents",
        "occurred": "occurred_s",
        "known": "known_s",
    },
    "treatments": {
        "customer_id": "customer_id",
        "channel": "channel",
        "offer": "offer",
        "treated": "treated",
        "propensity": "propensity",
        "occurred": "occurred_s",
        "known": "known_s",
    },
}
"""The files' columns, named as ``source.<table>.columns`` names them, by the canonical ones that they hold."""


@click.command()
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option("--customers", default=20_000, show_default=True, help="Who have signed up by the end.")
@click.option("--seed", default=42, show_default=True, help="Another seed: another company under the same law.")
@click.option("--months", default=24, show_default=True, help="Months of data, from 2024-01-01 on.")
@click.option(
    "--scenario",
    type=click.Choice(["none", "price_increase", "competitor", "tracking_bug", "new_country"]),
    default="none",
    show_default=True,
    help="What happens to the company's world.",
)
@click.option("--from", "since", metavar="DATE", help="First day of the scenario.")
@click.option("--dirt", default=0.0, show_default=True, help="Share of the rows that are hit by dirt.")
@click.option(
    "--campaign", "campaigns", multiple=True, metavar="DATE", help="A day on which a list is called; may be repeated."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Of the files.",
)
@click.option("--verify", is_flag=True, help="Print the best possible prediction, and that no model beats it.")
def simulate(
    out: Path | None,
    customers: int,
    seed: int,
    months: int,
    scenario: str,
    since: str | None,
    dirt: float,
    campaigns: tuple[str, ...],
    file_format: Literal["parquet", "csv"],
    *,
    verify: bool,
) -> None:
    """Write the tables of a synthetic company into the folder OUT, with a churn.yaml that reads them; or verify it."""
    if (scenario == "none") != (since is None):
        raise click.UsageError("--scenario and --from belong together: what happens, and its first day like 2025-03-01")
    settings = company(
        customers=customers,
        seed=seed,
        months=months,
        scenario={"kind": scenario, "start": since},
        dirt=dirt,
        campaigns=[{"day": day} for day in campaigns],
    )
    if verify:
        if out is not None:
            raise click.UsageError(f"--verify writes nothing; leave {out} out")
        sys.exit(run_verify(settings))
    if out is None:
        raise click.UsageError("name the folder to write to, or ask for --verify")
    run_simulate(settings, out, file_format)


@dataclass(frozen=True)
class Month:
    """What was written of a month: its first day, and rows by table."""

    first: date
    rows: dict[Table, int]


def run_simulate(settings: SyntheticSettings, folder: Path, file_format: Format) -> None:
    """Write a company and say what was written."""
    written = dict.fromkeys(settings.raw_tables, 0)
    for month in write_company(settings, folder, file_format):
        for table, rows in month.rows.items():
            written[table] += rows
    for table, rows in written.items():
        click.echo(f"{table}: {rows:,} rows in {folder / table}")
    click.echo(f"{folder / 'churn.yaml'} reads them: the data ends with {_last_day(settings)}")


def company(**given: Any) -> SyntheticSettings:
    """The synthetic company that a person describes on the command line.

    Raises:
        InputError: there can't be such a company.
    """
    try:
        return SyntheticSettings(**given)
    except ValidationError as error:
        raise InputError(one_line(error, SyntheticSettings, where="churn simulate")) from error


def write_company(settings: SyntheticSettings, folder: Path, file_format: Format) -> Iterator[Month]:
    """Write the tables month by month, ``<table>/<month>.<format>``, and at the end the files of a company's folder.

    Args:
        settings: the company.
        folder: target folder; created if missing.
        file_format: file format of the files; times are timestamps in Parquet and ISO 8601 in CSV, both UTC.

    Yields:
        Each month when its files are there.

    Raises:
        InputError: the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; name one that is empty or does not exist")
    source = SyntheticSource(settings)
    calendar = Calendar("monthly", settings.start)
    for table in settings.raw_tables:
        (folder / table).mkdir(parents=True)
    for month in months_of(settings):
        rows: dict[Table, int] = {}
        for table in settings.raw_tables:
            frame = source.read(table, epoch_s(month), epoch_s(calendar.next(month))).rows
            rows[table] = frame.height
            write(_as_columns(table, frame), folder / table / f"{month}.{file_format}", file_format)
        yield Month(month, rows)
    description = {"company": "simulated", "source": described(settings, source, file_format)}
    write_all(folder, {**instance_files(), "churn.yaml": yaml.safe_dump(description, sort_keys=False)})


def described(settings: SyntheticSettings, source: SyntheticSource, file_format: Format) -> dict[str, Any]:
    """The section ``source`` of the ``churn.yaml`` that reads the files."""
    tables: dict[str, Any] = {}
    for table in settings.raw_tables:
        tables[table] = {
            "path": f"{table}/*.{file_format}",
            "format": file_format,
            "columns": {name: name for name in COLUMNS[table]},
        }
    tables["customers"]["attributes"] = {
        column.name: {"column": column.name, "kind": column.kind, "description": column.description}
        for column in source.attributes
    }
    tables["payments"]["amount_unit"] = "cents"
    return {"kind": "files", "shape": "history", "start": settings.start, **tables}


def write(frame: pl.DataFrame, file: Path, file_format: Format) -> None:
    """Write a frame; times as ISO 8601 where the format has none."""
    if file_format == "parquet":
        frame.write_parquet(file)
    else:
        frame.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%SZ")


def _last_day(settings: SyntheticSettings) -> date:
    return Calendar("monthly", settings.start).next(months_of(settings)[-1]) - timedelta(days=1)


def _as_columns(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    canonical = COLUMNS[table]
    attributes = [name for name in frame.columns if name not in canonical.values()]
    return frame.select(
        *(
            (pl.from_epoch(source).dt.replace_time_zone("UTC") if source.endswith("_s") else pl.col(source)).alias(name)
            for name, source in canonical.items()
        ),
        *attributes,
    )
