"""Where the two wings meet: the part of ``churn.yaml`` that both read, and how the file and the environment are read.

A value comes from the environment (``CHURN_STORE__DATABASE_URL`` is ``store: {database_url: ...}``), else from
``churn.yaml`` in the current folder or the file named by ``CHURN_CONFIG``, else from its default here. Nothing else in the
platform reads the environment. What only one wing needs is declared in that wing's own ``settings`` module.
"""

import os
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from churn_store.clock import Clock
from churn_store.database.sqlite_url import sqlite_url
from churn_store.errors import InputError, UnsafeFileError
from churn_store.kubernetes import kubernetes_variables
from churn_store.safe_read import MEBIBYTE, read_regular
from churn_store.settings_errors import one_line
from churn_store.yaml_words import load as load_yaml

SECTIONS = frozenset(
    {
        "company", "home", "store",  # both wings
        "source", "raw", "quality", "engine", "spark", "cadence", "at_risk", "label", "events", "features", "training", "profit", "evaluation", "gate", "promotion", "purpose", "monitoring", "performance", "retraining", "tracking",
        "service",
    }
)  # fmt: skip
"""The top-level names of ``churn.yaml``."""

ENDPOINT_VARIABLES = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"})


LARGEST = 4 * MEBIBYTE
"""Largest ``churn.yaml``."""


class Section(BaseModel):
    """A section of ``churn.yaml``: unknown names are errors, so that a typing mistake is not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(Section):
    """Where the graph leaves what the service reads, and where the service leaves what the graph reads."""

    database_url: str = Field("", description="SQLAlchemy address of the serving database; default: SQLite in `home`")
    releases_url: str = Field("", description="folder or object-store address of release files; default: in `home`")
    online_url: str = Field("", description="redis://... or a folder for online features; default: a folder in `home`")
    lake_url: str = Field("", description="folder or object-store address of the lake; default: in `home`")


class SharedServiceSettings(BaseModel):
    """The part of the section ``service`` that the graph and its commands act on too."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    port: int = Field(8000, description="port to listen on; 0 takes a free one", ge=0, le=65535)
    keep_days: int | None = Field(
        None,
        description="predictions older than this are removed from the database; default: all are kept",
        gt=0,
        le=36_500,
    )
    audit_keep_days: int | None = Field(
        90,
        description="rows of the audit older than this are removed from the database; null: all are kept",
        gt=0,
        le=36_500,
    )


class _YamlFile(YamlConfigSettingsSource):
    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        return load_yaml(_text_of(Path(str(file_path)))) or {}


class ConfigFile(BaseSettings):
    """What every reader of ``churn.yaml`` knows."""

    model_config = SettingsConfigDict(
        env_prefix="CHURN_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    company: str = Field("synthetic", description="a name for titles", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    home: Path = Field(
        Path(".churn"),
        validate_default=True,
        description="folder of the lake, the release files and the embedded databases",
    )
    store: StoreSettings = StoreSettings()

    @field_validator("home")
    @classmethod
    def _beside_the_file(cls, home: Path) -> Path:
        """So that a command run from another folder speaks of the same company."""
        return config_file().absolute().parent / home

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before environment before file; what Kubernetes has put into the environment is no setting."""
        if isinstance(env_settings, EnvSettingsSource):
            foreign = {name.lower() for name in kubernetes_variables(os.environ)}
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if name.lower() not in foreign
            }
        return init_settings, env_settings, _YamlFile(settings_cls, yaml_file=config_file())

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read ``churn.yaml`` and the environment.

        Raises:
            InputError: a name or a value that is not understood; one line that names the place.
        """
        _refuse_unknown_sections(config_file())
        _refuse_unknown_variables()
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise InputError(one_line(error, cls, where=str(config_file()))) from error

    @property
    def clock(self) -> Clock:
        """The one clock; fixed while the file ``as_of`` lies in ``home``."""
        return Clock(self.home / "as_of")

    @property
    def database_url(self) -> str:
        """The serving database."""
        return self.store.database_url or sqlite_url(self.home / "serving.db")

    @property
    def releases_url(self) -> str:
        """The root of the release files."""
        return self.store.releases_url or str((self.home / "releases").absolute())

    @property
    def online_url(self) -> str:
        """The online features."""
        return self.store.online_url or str((self.home / "online").absolute())


T = TypeVar("T", bound=ConfigFile)


def config_file() -> Path:
    """The configuration file in force."""
    return Path(os.environ.get("CHURN_CONFIG", "churn.yaml"))


def store_endpoints() -> dict[str, str]:
    """The variables that name another server of object storage than Amazon's, as the clients read them themselves."""
    return {name: value for name, value in os.environ.items() if name.upper() in ENDPOINT_VARIABLES}


def _refuse_unknown_variables() -> None:
    known = {*SECTIONS, "config"}
    named = {
        variable: variable.removeprefix("CHURN_").split("__")[0].lower()
        for variable in os.environ.keys() - kubernetes_variables(os.environ)
        if variable.startswith("CHURN_")
    }
    if unknown := sorted(variable for variable, section in named.items() if section not in known):
        raise InputError(
            f"the environment names {', '.join(unknown)}; expected CHURN_ and one of {', '.join(sorted(known))} in capitals, "
            "then __ and a name inside it"
        )


def _text_of(file: Path) -> str:
    try:
        return read_regular(file, at_most=LARGEST).decode()
    except UnsafeFileError as error:
        raise InputError(f"{file} is not read: {error}") from error


def _refuse_unknown_sections(file: Path) -> None:
    if not file.exists():
        if "CHURN_CONFIG" in os.environ:
            raise InputError(f"CHURN_CONFIG names {file}, which does not exist; name a churn.yaml or unset it")
        return
    try:
        content = load_yaml(_text_of(file)) or {}
    except yaml.MarkedYAMLError as error:
        # Not the line itself, which the error quotes: a password may stand in it.
        place = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise InputError(f"{file}: not YAML: {error.problem}{place}; expected names with values. Mend that line") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected names with values like `cadence: monthly`, found {type(content).__name__}")
    unknown = sorted(set(map(str, content)) - SECTIONS)
    if unknown:
        raise InputError(f"{file}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(SECTIONS))}")
