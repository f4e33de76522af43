"""The section ``source`` of ``churn.yaml``: a synthetic company, files or a PostgreSQL database."""

from typing import Annotated

from pydantic import Field

from churn_assets.settings.postgres import PostgresSettings
from churn_assets.simulator.source import SyntheticSettings
from churn_store.mapping.file_settings import FilesSettings

SourceSettings = Annotated[SyntheticSettings | FilesSettings | PostgresSettings, Field(discriminator="kind")]
"""The source of the raw tables."""
