"""Opens the source that a company has configured."""

from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.lake.lake import Lake
from churn_assets.lake.normalisation import normalisation_of
from churn_assets.settings.company import Settings
from churn_assets.settings.postgres import PostgresSettings
from churn_assets.settings.source import SourceSettings
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_assets.tables import Source
from churn_store.mapping.canonical import Rules
from churn_store.mapping.csv_reader import matching_files
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.times import YEAR_2100_S
from churn_store.settings import config_file


def open_source(settings: Settings, *, in_parts: bool = False) -> Source:
    """The configured source; paths in it are relative to the folder of ``churn.yaml``. Nothing is read yet.

    Args:
        settings: settings of the company.
        in_parts: whether a file that can't be read stops only the periods that it may have rows of, as ingest wants it.
    """
    if isinstance(settings.source, SyntheticSettings):
        return SyntheticSource(settings.source, cache=settings.home / "simulator")
    # A fixed clock may stand in the past, so it can't bound which dates are plausible.
    now_s = YEAR_2100_S if settings.clock.is_fixed else settings.clock.now_s()
    rules = Rules(settings.raw.quarantine_limit, now_s)

    def in_lake() -> int:
        return normalisation_of(Lake(settings.lake_url))

    if isinstance(settings.source, PostgresSettings):
        return PostgresSource(settings.source, rules, normalisation=in_lake)
    return FilesSource(settings.source, config_file().absolute().parent, rules, normalisation=in_lake, in_parts=in_parts)


def given_files(described: SourceSettings) -> list[str]:
    """The files of a source of files, table by table; none of another source.

    Raises:
        InputError: if a table has none.
    """
    if not isinstance(described, FilesSettings):
        return []
    folder = config_file().absolute().parent
    return [
        file
        for table in ("customers", "events", "payments", "treatments")
        if (table_settings := getattr(described, table)) is not None
        for file in matching_files(table_settings, folder, where=f"source.{table}")
    ]
