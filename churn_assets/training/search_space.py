"""What the search may try of each parameter of a family: the family's own space, or that of the settings.

Does not belong here: the search itself (``tuning``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from churn_assets.settings.company import Training
from churn_assets.training.families import Family, Parameter, Value
from churn_store.errors import InputError


@dataclass(frozen=True)
class Space:
    """What the search may try of a parameter: from ``least`` to ``greatest``."""

    parameter: Parameter
    least: Value
    greatest: Value

    def nearest(self, value: Value) -> Value:
        """The value of the space that is nearest to a given one."""
        return min(max(value, self.least), self.greatest)


def search_space(family: Family, training: Training, *, fixed: Mapping[str, Value] | None = None) -> dict[str, Space]:
    """The family's own space with that of the settings in its place where they name a parameter, without fixed parameters.

    Raises:
        InputError: the settings' space makes no sense; names family, parameter and what is allowed.
    """
    own = {name: parameter.search for name, parameter in family.parameters.items() if parameter.search is not None}
    given = training.search.get(family.name, {})  # type: ignore[call-overload]
    where = f"training.search.{family.name}"
    for name, bounds in given.items():
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
        for name, bounds in {**own, **given}.items()
        if name not in (fixed or {})
    }
