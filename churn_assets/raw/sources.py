"""Which source a company has."""

from churn_assets.raw.files import FilesSource
from churn_assets.raw.mapped_times import YEAR_2100_S
from churn_assets.raw.mapped_values import Rules
from churn_assets.raw.postgres import PostgresSource
from churn_assets.raw.postgres_settings import PostgresSettings
from churn_assets.raw.source import Source
from churn_assets.raw.synthetic import SyntheticSettings, SyntheticSource
from churn_assets.settings import Settings
from churn_store.settings import config_file


def open_source(settings: Settings) -> Source:
    """The configured source; paths in it are relative to the folder of ``churn.yaml``. Nothing is read yet."""
    if isinstance(settings.source, SyntheticSettings):
        return SyntheticSource(settings.source)
    # A clock that stands in the past says nothing about which dates can be meant.
    now_s = YEAR_2100_S if settings.clock.is_fixed else settings.clock.now_s()
    rules = Rules(settings.raw.quarantine_limit, now_s)
    if isinstance(settings.source, PostgresSettings):
        return PostgresSource(settings.source, rules)
    return FilesSource(settings.source, config_file().absolute().parent, rules)
