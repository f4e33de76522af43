"""`churn drift`: whether one file of customers has moved away from another.

Belongs here: options and output. Does not belong here: reading and comparing the files (``monitoring.file_windows``).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from churn_assets.monitoring.file_windows import compare_files, read_files
from churn_assets.monitoring.report_page import features_table, headline
from churn_assets.settings.company import Settings
from churn_store.errors import InputError
from churn_store.mapping.company import SourceConfig, customers_table
from churn_store.mapping.file_settings import FileTable

NO_DRIFT, DRIFT = 0, 3
"""Exit statuses; that of a wrong use or a wrong input is 2."""

own_columns_option = click.option(
    "--own-columns", is_flag=True, help="Read the files by their own columns, whatever the mapping in churn.yaml says."
)
leave_out_option = click.option(
    "--leave-out", multiple=True, metavar="COLUMN", help="Leave this column out; may be given again."
)
separator_option = click.option("--separator", help="Of CSV files; default: that of the mapping, or a comma.")


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("current", type=click.Path(path_type=Path))
@own_columns_option
@leave_out_option
@separator_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def drift(
    baseline: Path, current: Path, own_columns: bool, leave_out: tuple[str, ...], separator: str | None, as_json: bool
) -> None:
    """Say whether the customers of CURRENT have moved away from those of BASELINE, two CSV or Parquet files (.csv, .csv.gz, .parquet).

    Both are read by the mapping of the table of customers in churn.yaml; without such a table, or with --own-columns, by their own columns. The rule
    is that of the graph, and one window decides. Exit status 0 if there is no drift, 3 if there is, 2 if the files can't be judged.
    """
    settings = Settings.load()
    files = read_files(baseline, current, mapping_of(own_columns=own_columns), leave_out=leave_out, separator=separator)
    windows = compare_files(files, settings.monitoring, settings.evaluation)
    everyone = windows[0]
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(everyone), "notes": files.notes}))
    else:
        for note in files.notes:
            click.echo(f"note: {note}", err=True)
        table = features_table(everyone.features)
        if everyone.features:
            click.echo("\n".join(_in_columns(table.head, table.rows)))
        click.echo(headline(everyone))
    if everyone.state == "unknown":
        raise InputError(f"{current} could not be judged: {everyone.verdict.removeprefix('not judged: ')}")
    sys.exit(DRIFT if everyone.state == "attention" else NO_DRIFT)


def mapping_of(*, own_columns: bool) -> FileTable | None:
    """The description of the company's table of customers; ``None`` where files are read by their own columns."""
    if own_columns:
        return None
    table = customers_table(SourceConfig.load())
    if table.description is None:
        click.echo(f"{table.why_not}: the files are read by their own columns (--own-columns)", err=True)
    return table.description


def _in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns stand below each other: words to the left, figures to the right."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    words = 2
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
