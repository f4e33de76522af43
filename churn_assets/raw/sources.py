"""Which source a company has."""

from churn_assets.raw.files import FilesSource
from churn_assets.raw.source import Source
from churn_assets.raw.synthetic import SyntheticSettings, SyntheticSource
from churn_assets.settings import Settings
from churn_store.settings import config_file


def open_source(settings: Settings) -> Source:
    """The configured source; paths in it are relative to the folder of ``churn.yaml``. Nothing is read yet."""
    if isinstance(settings.source, SyntheticSettings):
        return SyntheticSource(settings.source)
    return FilesSource(settings.source, config_file().absolute().parent)
