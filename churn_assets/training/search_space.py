"""The search space of a family: its own range of each parameter, or that of the settings.

Does not belong here: the search itself (``tuning``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from churn_assets.settings.training import Training
from churn_assets.training.families import Family, Parameter, Value
from churn_store.errors import InputError


@dataclass(frozen=True)
class Space:
    """The range of a parameter that the search may try, from ``least`` to ``greatest``."""

    parameter: Parameter
    least: Value
    greatest: Value

    def nearest(self, value: Value) -> Value:
        """The nearest value within the range."""
        return min(max(value, self.least), self.greatest)


def search_space(family: Family, training: Training, *, fixed: Mapping[str, Value] | None = None) -> dict[str, Space]:
    """The range of each searched parameter: that of the settings if they name it, else the family's own. Fixed parameters have none.

    Raises:
        InputError: the settings name an unknown parameter or an impossible range; the message says what is allowed.
    """
    of_family = {name: parameter.search for name, parameter in family.parameters.items() if parameter.search is not None}
    of_settings = training.search.get(family.name, {})  # type: ignore[call-overload]
    where = f"training.search.{family.name}"
    for name, bounds in of_settings.items():
        parameter = family.parameter(name, where=where)
        for bound in bounds:
            if not parameter.takes_value(bound):
                raise InputError(
                    f"{where}: {name} is searched from {bounds[0]:g} to {bounds[1]:g}; expected {parameter.allowed}"
                )
        if bounds[0] > bounds[1]:
            raise InputError(
                f"{where}: {name} is searched from {bounds[0]:g} to {bounds[1]:g}; expected the least value first, then the greatest"
            )
    return {
        name: Space(parameter := family.parameters[name], parameter.of(bounds[0]), parameter.of(bounds[1]))
        for name, bounds in {**of_family, **of_settings}.items()
        if name not in (fixed or {})
    }
