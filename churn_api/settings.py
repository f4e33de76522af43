"""The section ``service`` of ``churn.yaml``: where the service listens, what it allows, and where it keeps its files.

Belongs here: values that an operator may want to change. Does not belong here: how they are read (``churn_store.settings``).
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from churn_store.mapping.company import SourceConfig, customers_table
from churn_store.mapping.file_settings import FileTable
from churn_store.settings import Section

MEBIBYTE = 1024 * 1024


class ServiceSettings(Section):
    """How the service listens, polls, limits and logs. Sizes in bytes, times in seconds."""

    host: str = Field("127.0.0.1", description="address to listen on", min_length=1)
    port: int = Field(8000, description="port to listen on; 0 takes a free one", ge=0, le=65535)
    poll_s: float = Field(0.5, description="how often releases, keys and online features are looked at", gt=0, le=60)
    max_body_bytes: int = Field(256 * 1024, description="largest request body of one prediction", ge=1024)
    max_batch_body_bytes: int = Field(16 * MEBIBYTE, description="largest request body of a batch", ge=1024)
    max_batch: int = Field(10_000, description="most customers or records in a batch", ge=1)
    request_s: float = Field(10.0, description="a request must have arrived completely within this time", gt=0)
    keep_alive_s: int = Field(30, description="an idle connection is closed after this time", gt=0)
    shutdown_s: int = Field(10, description="time for open requests, and again for shipping the log, at the end", gt=0)
    spool: Path | None = Field(None, description="folder of predictions not yet in the database; default: in `home`")
    spool_limit_bytes: int = Field(1024 * MEBIBYTE, description="with more than this in the spool, no more is logged", ge=1)
    ship_s: float = Field(1.0, description="how often logged predictions are moved into the database", gt=0, le=60)
    cache: Path | None = Field(None, description="folder of the last good release and the hashed keys; default: in `home`")
    cache_max_age_s: int = Field(7 * 86_400, description="older than this, the cache is not served from", gt=0)
    access_log_share: float = Field(0.01, description="share of successful requests in the access log", ge=0, le=1)

    @model_validator(mode="after")
    def _a_batch_may_be_larger(self) -> Self:
        if self.max_batch_body_bytes < self.max_body_bytes:
            raise ValueError("max_batch_body_bytes must be at least max_body_bytes")
        return self


class ServiceConfig(SourceConfig):
    """What the service reads of ``churn.yaml`` and the environment (``CHURN_SERVICE__PORT``)."""

    service: ServiceSettings = ServiceSettings()

    @property
    def customers(self) -> FileTable | None:
        """The description of the company's own table, by which CSV is read; ``None`` without one."""
        return customers_table(self).description

    @property
    def spool_folder(self) -> Path:
        """Where predictions wait for the database."""
        return (self.service.spool or self.home / "spool").absolute()

    @property
    def cache_folder(self) -> Path:
        """Where the last good release and the hashed keys are kept."""
        return (self.service.cache or self.home / "service").absolute()
