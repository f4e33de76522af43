"""`churn open`: a report of the graph as a file on this machine, in the browser.

Works with the graph and the service down, and from another machine than the graph's: it needs the serving database and the release
files. Belongs here: options and output. Does not belong here: what a report is (``churn_store.reports``).
"""

import os
import webbrowser
from pathlib import Path

import click

from churn_store.database.migrate import require_migrated
from churn_store.database.schema import connect
from churn_store.errors import InputError
from churn_store.reports import ENDING, MADE_BY, NAMES, Report, ReportFile, address_of, newest
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore

SHOWN_DIGITS = 12


@click.command()
@click.argument("name", metavar="NAME")
def open_report(name: str) -> None:
    """Open the newest report NAME (card, backtest, drift, quality or performance) in the browser; without one, its path says where it is."""
    if name not in NAMES:
        raise InputError(f"there is no report {name}; expected {', '.join(NAMES)}")
    settings = ConfigFile.load()
    engine = connect(settings.database_url)
    require_migrated(engine)
    report = newest(engine, name)
    if report is None:
        made = [other for other in NAMES if newest(engine, other) is not None]
        raise InputError(
            f"no report {name} was published yet; materialize the asset {MADE_BY[name]}"
            + (f", or open {' or '.join(made)}" if made else "")
        )
    page = write_report(report, DigestStore(settings.releases_url), settings.home / "reports")
    click.echo(f"{report.title}: {report.verdict}")
    click.echo(page)
    if not _shown(page):
        click.echo(f"no browser was found here; open the file, or /reports/{address_of(report.digest)} of the service")


def write_report(report: Report, files: DigestStore, folder: Path) -> Path:
    """Write a report into a folder, which is made: the page, and beside it the drawing that its frame names.

    Raises:
        ReleaseError: if a file is missing or was changed.
        StoreAwayError: if the object store does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{report.name}-{report.digest[:SHOWN_DIGITS]}{ENDING}"
    contents = {page: ReportFile(report).read(files)}
    if report.drawing is not None:
        contents[folder / address_of(report.drawing)] = ReportFile(report, is_drawing=True).read(files)
    for file, content in contents.items():
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(file)
    return page


def _shown(page: Path) -> bool:
    try:
        return webbrowser.open(page.absolute().as_uri())
    except webbrowser.Error:
        return False
