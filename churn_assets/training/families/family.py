"""The type of a model family: its estimator, its parameters and how it is exported.

Belongs here: what all families have in common. Does not belong here: a single family (each has a module in this folder) and the
search for parameters (``training.tuning``).
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_store.errors import InputError
from churn_store.model.scorer import CATEGORIES, NUMBERS
from churn_store.model.signature import Signature

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Value = int | float
"""A value of a parameter."""


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of an estimator.

    Attributes:
        default: default value; if it is an `int`, only whole numbers are allowed.
        takes: least and greatest value that the estimator accepts.
        search: least and greatest value that the search tries; `None` if the parameter is not searched.
        logarithmic: whether the search samples on a logarithmic scale.
    """

    default: Value
    takes: tuple[Value, Value]
    search: tuple[Value, Value] | None = None
    logarithmic: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return isinstance(self.default, int)

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        least, greatest = self.takes
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} of at least {least:g}" if greatest == np.inf else f"{kind} from {least:g} to {greatest:g}"

    def takes_value(self, value: object) -> bool:
        """Whether a value is allowed."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            return False
        return self.takes[0] <= value <= self.takes[1] and not (self.is_whole and value != int(value))

    def of(self, value: Value) -> Value:
        """An allowed value in the parameter's type."""
        return int(value) if self.is_whole else float(value)


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        name: name in the settings, of the asset and in the manifest.
        description: description for people.
        parameters: parameters of the estimator, by name.
        estimator: function that makes an unfitted estimator from parameters and a seed. Its ``decision_function`` gives log odds, which
            a sigmoid calibrates best. Its ``onnx`` writes this computation into a graph, from the name of the columns' tensor (float32,
            or float64 where numbers are prepared) to the name of the log odds' tensor (float64 ``[n, 1]``).
        prepare: function that makes the transformer of the numbers, which has ``onnx`` as well; `None` if the estimator takes the numbers as
            they are, missing ones included.
        package: optional package that has to be installed; `None` if the platform's own packages have the estimator.
        library: defaults of the library that differ from ours; ours suit smaller companies.
        rounds: name of the parameter with the number of boosting rounds, if early stopping may set it. The estimator then has
            ``fit_early_stopping``, which stops on the loss of later rows and returns the number of rounds. `None` without boosting.
    """

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    estimator: Callable[[Mapping[str, Value], int], Any]
    prepare: Callable[[], Any] | None = None
    package: str | None = None
    library: Mapping[str, Value] = field(default_factory=dict)
    rounds: str | None = None

    @property
    def defaults(self) -> dict[str, Value]:
        """The parameters' defaults."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    @property
    def untuned(self) -> dict[str, Value]:
        """The parameters without any tuning: the library's own defaults."""
        return {**self.defaults, **self.library}

    def with_parameters(self, values: Mapping[str, object], *, where: str) -> dict[str, Value]:
        """Check values of parameters, and convert them to the parameters' types.

        Args:
            values: values by name of the parameter.
            where: place of the values, for the message.

        Raises:
            InputError: a name is unknown, or a value is not allowed.
        """
        for name, value in values.items():
            parameter = self.parameter(name, where=where)
            if not parameter.takes_value(value):
                raise InputError(f"{where}: {name} of {self.name} is {value!r}; expected {parameter.allowed}")
        return {name: self.parameters[name].of(value) for name, value in values.items()}  # type: ignore[arg-type]

    def parameter(self, name: str, *, where: str) -> Parameter:
        """The parameter of a name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.parameters:
            raise InputError(
                f"{where}: {self.name} has no parameter {name!r}; known are {', '.join(sorted(self.parameters))}"
            )
        return self.parameters[name]

    def require_installed(self) -> None:
        """Refuse a family whose package is not installed.

        Raises:
            InputError: the package is not installed; the message says how to install it.
        """
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            raise InputError(
                f"training.families names {self.name}, but the package {self.package} is not installed; "
                f"`pip install --editable '.[boosting]'` in the checkout brings it, or take {self.name} out"
            )

    def pipeline(
        self, signature: Signature, *, parameters: Mapping[str, Value], seed: int, dropped: Sequence[str] = ()
    ) -> "Pipeline":
        """An unfitted pipeline for a signature.

        Args:
            signature: inputs of the model.
            parameters: parameters of the estimator; those that are not named have their defaults.
            seed: seed of the estimator.
            dropped: inputs that are numbers and not passed on to the estimator, such as those without any value.
        """
        from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - seconds of import that only training pays
        from sklearn.pipeline import Pipeline  # noqa: PLC0415
        from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415

        first_category = len(signature.numbers)
        numbers = [position for position, name in enumerate(signature.numbers) if name not in dropped]
        categories = list(range(first_category, first_category + len(signature.categories)))
        steps: list[tuple[str, Any, list[int]]] = []
        if numbers:
            steps.append((NUMBERS, "passthrough" if self.prepare is None else self.prepare(), numbers))
        if categories:
            words = [list(column.categories) for column in signature.columns if column.kind == "category"]
            encoder = OneHotEncoder(categories=words, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
            steps.append((CATEGORIES, encoder, categories))
        estimator = self.estimator({**self.defaults, **parameters}, seed)
        return Pipeline([("columns", ColumnTransformer(steps)), ("model", estimator)])
