"""The section ``service`` of ``churn.yaml``: where the service listens, what it allows, and where it keeps its files.

Belongs here: values that an operator may want to change. Does not belong here: how they are read (``churn_store.settings``).
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from churn_store.mapping.company import SourceConfig, customers_table
from churn_store.mapping.file_settings import FileTable
from churn_store.settings import Section, SharedServiceSettings

MEBIBYTE = 1024 * 1024

MOST_WORKERS: Final = 64

_BAND: Final = re.compile(r"[a-z0-9_-]{1,40}").fullmatch


class LimitSettings(Section):
    """How many requests a caller may make: rules like ``600/minute``, several with ``;``, all of which hold; empty for no limit."""

    key: str = Field(
        "300000/minute; 10000/second", description="rules of each key; a rule with a short window bounds bursts"
    )
    address: str = Field(
        "6000/minute; 500/second", description="rules of each address, for requests without a usable key", max_length=200
    )
    redis_url: str = Field("", description="redis://... through which all workers share the counts; default: each its own")

    @field_validator("key", "address")
    @classmethod
    def _can_be_read(cls, rules: str) -> str:
        from limits import parse_many  # noqa: PLC0415 - takes 0.3 s, and few commands have to read a rule

        try:
            if rules.strip() and any(rule.amount < 1 or rule.get_expiry() < 1 for rule in parse_many(rules)):
                raise ValueError
        except ValueError:
            raise ValueError("expected rules like 600/minute or 600/minute; 50/second, each of 1 or more") from None
        return rules

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://")):
            raise ValueError("expected an address like redis://host:6379/0")
        return url


class ServiceSettings(SharedServiceSettings):
    """How the service listens, polls, limits and logs. Sizes in bytes, times in seconds."""

    model_config = Section.model_config

    host: str = Field("127.0.0.1", description="address to listen on", min_length=1)
    workers: int = Field(1, description="processes that serve, each on a core of its own", ge=1, le=MOST_WORKERS)
    poll_s: float = Field(0.5, description="how often releases, keys and online features are looked at", gt=0, le=60)
    max_body_bytes: int = Field(256 * 1024, description="largest request body of one prediction", ge=1024)
    max_batch_body_bytes: int = Field(16 * MEBIBYTE, description="largest request body of a batch", ge=1024)
    max_batch: int = Field(10_000, description="most customers or records in a batch", ge=1)
    max_upload_rows: int = Field(
        100_000, description="most rows of a CSV or Parquet upload whose answer is streamed; at least max_batch", ge=1
    )
    max_explained_rows: int = Field(
        1_000, description="most rows of a batch with explain=true; each takes some milliseconds of a processor", ge=1
    )
    request_s: float = Field(10.0, description="a request must have arrived completely within this time", gt=0)
    write_s: float = Field(30.0, description="a caller must take its answer within this time", gt=0)
    connections: int = Field(
        1_000, description="most connections at once of each worker; above it those that wait longest are closed", ge=20
    )
    keep_alive_s: int = Field(30, description="an idle connection is closed after this time", gt=0)
    shutdown_s: int = Field(10, description="time for open requests, and again for shipping the log, at the end", gt=0)
    spool: Path | None = Field(None, description="folder of predictions not yet in the database; default: in `home`")
    spool_limit_bytes: int = Field(1024 * MEBIBYTE, description="with more than this in the spool, no more is logged", ge=1)
    ship_s: float = Field(1.0, description="how often logged predictions are moved into the database", gt=0, le=60)
    cache: Path | None = Field(None, description="folder of the last good release and the hashed keys; default: in `home`")
    cache_max_age_s: int = Field(7 * 86_400, description="older than this, the cache is not served from", gt=0)
    keys_max_age_s: int = Field(
        86_400, description="with the database away for longer than this, all keys are refused: one may be revoked", gt=0
    )
    access_log_share: float = Field(0.01, description="share of successful requests in the access log", ge=0, le=1)
    limits: LimitSettings = LimitSettings()
    cors_origins: tuple[str, ...] = Field(
        (), description="origins whose pages may ask from a browser, such as https://shop.example; default: none"
    )
    otel_endpoint: str = Field(
        "",
        description="address of an OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318; default: no traces",
    )
    otel_share: float = Field(
        1.0, description="share of the requests that are traced, unless the caller's trace says whether", ge=0, le=1
    )
    open_metrics: bool = Field(False, description="/metrics and /health/detailed answer without a key")

    risk_bands: dict[str, float] | None = Field(
        None,
        description="probability from which on each risk band holds, such as {low: 0, medium: 0.1, high: 0.3}; "
        "default: those of the release, from profit and calibration",
        min_length=1,
    )

    @field_validator("risk_bands")
    @classmethod
    def _bands_that_cover_all(cls, bands: dict[str, float] | None) -> dict[str, float] | None:
        if bands is None:
            return None
        bounds = sorted(bands.values())
        if bounds[0] != 0 or any(low == high for low, high in pairwise(bounds)) or not bounds[-1] <= 1:
            raise ValueError(f"found bounds {bounds}; expected one at 0, and all of them different and at most 1")
        if wrong := [name for name in bands if not _BAND(name)]:
            raise ValueError(f"{wrong[0]!r} is no name of a band; expected 1 to 40 small letters, digits, - or _")
        return dict(sorted(bands.items(), key=lambda band: band[1]))

    @field_validator("otel_endpoint")
    @classmethod
    def _is_a_collector(cls, url: str) -> str:
        if url and re.fullmatch(r"https?://[^/@?#\s]+(/[^?#\s]*)?", url) is None:
            raise ValueError("expected an address like http://collector:4318, without user, password and query")
        return url

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if any(re.fullmatch(r"https?://[^/*\s]+", origin) is None for origin in origins):
            raise ValueError("expected origins like https://shop.example, without a path and without *")
        return origins

    @model_validator(mode="after")
    def _a_batch_may_be_larger(self) -> Self:
        if self.max_batch_body_bytes < self.max_body_bytes:
            raise ValueError("max_batch_body_bytes must be at least max_body_bytes")
        if self.max_upload_rows < self.max_batch:
            raise ValueError("max_upload_rows must be at least max_batch")
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
