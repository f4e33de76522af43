"""`churn report`: the pages of drift and of data quality as files, of the newest snapshot or of files.

Belongs here: options and output. Does not belong here: the pages (``monitoring.pages``).
"""

from pathlib import Path

import click

from churn_assets.cli.drift import leave_out_option, mapping_of, own_columns_option, separator_option
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.file_windows import compare_files, read_files
from churn_assets.monitoring.history import TABLE, drift_windows
from churn_assets.monitoring.history_update import REJUDGED
from churn_assets.monitoring.pages import (
    SnapshotStores,
    Subject,
    drift_page,
    drift_page_of_files,
    quality_page,
    quality_page_of_files,
    write_page,
)
from churn_assets.monitoring.reference_rows import champion
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.monitoring import Monitoring
from churn_store.alerts.log import open_alerts
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.monitoring.facts import DriftWindow

TWO = 2


@click.command()
@click.argument("files", metavar="[[BASELINE] CURRENT]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--quality-only", is_flag=True, help="Only the page of data quality; CURRENT alone is enough for it.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder of the pages; default: the reports of `home`.")
@own_columns_option
@leave_out_option
@separator_option
def report(
    files: tuple[Path, ...],
    quality_only: bool,
    into: Path | None,
    own_columns: bool,
    leave_out: tuple[str, ...],
    separator: str | None,
) -> None:
    """Write the pages of drift and of data quality: of CURRENT beside BASELINE, or without files of the newest snapshot of the lake.

    Each page is an HTML file with our verdict first and Evidently's drawing, and a JSON file with the figures of both. Files are read as
    `churn drift` reads them.
    """
    if len(files) > TWO or (len(files) == 1 and not quality_only):
        raise click.UsageError(
            f"expected BASELINE and CURRENT, or CURRENT alone with --quality-only, or no file; found {len(files)}"
        )
    settings = Settings.load()
    monitoring, seed = settings.monitoring, settings.training.seed
    if files:
        before = files[0] if len(files) == TWO else None
        mapping = mapping_of(own_columns=own_columns)
        read = read_files(before, files[-1], mapping, leave_out=leave_out, separator=separator)
        names = ("nothing" if before is None else before.name, files[-1].name)
        pages = [quality_page_of_files(read, names, monitoring, seed=seed)]
        if not quality_only:
            windows = compare_files(read, monitoring, settings.evaluation)
            pages.insert(0, drift_page_of_files(read, windows, names, monitoring, seed=seed))
    else:
        serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
        subject, windows = _newest_snapshot(
            Lake(settings.lake_url), serving, settings.clock, company=settings.company, monitoring=monitoring, seed=seed
        )
        pages = [quality_page(subject, open_alerts(serving.engine))[0]]
        if not quality_only:
            pages.insert(0, drift_page(subject, windows))
    for page in pages:
        click.echo(f"{page.document.title}: {page.verdict}")
        for file in write_page(page, into or settings.reports):
            click.echo(f"  {file}")


def _newest_snapshot(
    lake: Lake, serving: ServingStore, clock: Clock, *, company: str, monitoring: Monitoring, seed: int
) -> tuple[Subject, list[DriftWindow]]:
    """The newest snapshot whose drift was judged, and the newest windows."""
    bundle, windows = champion(serving), drift_windows(lake, REJUDGED)
    snapshots = [one for one in windows if one.of == "snapshot" and one.segment is None]
    if not snapshots or snapshots[-1].release != bundle.digest:
        raise InputError(f"the lake has no {TABLE} of the release that serves; run the job monitor, or `churn demo`, first")
    key = snapshots[-1].window
    version = lake.version("customer_features")
    stores = SnapshotStores(lake, serving, clock)
    return Subject.of(stores, bundle, key, version=version, company=company, monitoring=monitoring, seed=seed), windows
