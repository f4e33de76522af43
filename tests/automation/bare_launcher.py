"""A launcher of runs without settings, as the tests' own launchers are. Does not belong here: what is done with a run."""

from typing import Any, Self

from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher import RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class BareLauncher(RunLauncher, ConfigurableClass):
    """What Dagster asks of each launcher that an instance's file names."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """As every configurable class of Dagster has it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """Made from the instance's file."""
        return cls(inst_data)
