"""What a family of models is: one entry with its estimator, its parameters and how it is exported.

Belongs here: what all families have in common. Does not belong here: one of them (a module each beside this one) and the
search for parameters (``training.tuning``).
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from churn_store.errors import InputError
from churn_store.model.scorer import CATEGORIES, NUMBERS
from churn_store.model.signature import Signature

Value = int | float
"""Of a parameter."""


@dataclass(frozen=True)
class Parameter:
    """A number that an estimator takes.

    Attributes:
        default: a whole number where only whole numbers are taken.
        takes: least and greatest value that make sense to the estimator.
        search: least and greatest value that the search tries; None where it leaves the parameter as it is.
        logarithmic: whether the search draws it by its logarithm.
    """

    default: Value
    takes: tuple[Value, Value]
    search: tuple[Value, Value] | None = None
    logarithmic: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are taken."""
        return isinstance(self.default, int)

    @property
    def allowed(self) -> str:
        """What is taken, in words."""
        least, greatest = self.takes
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} of at least {least:g}" if greatest == np.inf else f"{kind} from {least:g} to {greatest:g}"

    def takes_value(self, value: object) -> bool:
        """Whether the estimator can be given a value."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            return False
        return self.takes[0] <= value <= self.takes[1] and not (self.is_whole and value != int(value))

    def of(self, value: Value) -> Value:
        """A value that is taken, in the parameter's own type."""
        return int(value) if self.is_whole else float(value)


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        name: name of the asset and in the manifest.
        description: description in words.
        parameters: parameters of the estimator, by name.
        estimator: makes an unfitted one from parameters and a seed. It gives log odds, ``decision_function``, as they are what a
            sigmoid calibrates best; and exports itself, ``onnx``: writes what it computes into a graph, from the name of the columns'
            tensor (float32, or float64 where numbers are prepared) to the name of the log odds' (float64 ``[n, 1]``).
        prepare: makes what numbers go through before the estimator; None where it takes them as they are, missing ones included.
            What it makes exports itself likewise.
        package: package that has to be installed besides; None where the platform brings the estimator.
        library: the library's own parameters where they are others than ours, which suit smaller companies.
        rounds: the parameter that counts the rounds of boosting, which stops by itself: the estimator then also has ``fit_until``, which
            fits rows until later ones get no better and says how many rounds that took. None where nothing is boosted.
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
        """What somebody takes who tunes nothing: the library's own parameters."""
        return {**self.defaults, **self.library}

    def with_parameters(self, given: Mapping[str, object], *, where: str) -> dict[str, Value]:
        """Checked parameters in the types of the family.

        Args:
            given: parameter values by name.
            where: they were given, for the error.

        Raises:
            InputError: an unknown name, or a value that the estimator does not take.
        """
        for name, value in given.items():
            parameter = self.parameter(name, where=where)
            if not parameter.takes_value(value):
                raise InputError(f"{where}: {name} of {self.name} is {value!r}; expected {parameter.allowed}")
        return {name: self.parameters[name].of(value) for name, value in given.items()}  # type: ignore[arg-type]

    def parameter(self, name: str, *, where: str) -> Parameter:
        """A parameter by name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.parameters:
            raise InputError(
                f"{where}: {self.name} has no parameter {name!r}; known are {', '.join(sorted(self.parameters))}"
            )
        return self.parameters[name]

    def require_installed(self) -> None:
        """Refuse a family whose package is not there.

        Raises:
            InputError: with what to install.
        """
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            raise InputError(
                f"training.families names {self.name}, but the package {self.package} is not installed; "
                f"`pip install --editable '.[boosting]'` in the checkout brings it, or take {self.name} out"
            )

    def pipeline(
        self, signature: Signature, *, parameters: Mapping[str, Value], seed: int, without: Sequence[str] = ()
    ) -> Pipeline:
        """An unfitted pipeline for a signature.

        Args:
            signature: inputs of the model.
            parameters: parameters of the estimator; those that are not named have their defaults.
            seed: seed of the estimator.
            without: numbers that it takes and does not look at, such as those without any value to learn from.
        """
        before = len(signature.numbers)
        numbers = [position for position, name in enumerate(signature.numbers) if name not in without]
        categories = list(range(before, before + len(signature.categories)))
        steps: list[tuple[str, Any, list[int]]] = []
        if numbers:
            steps.append((NUMBERS, "passthrough" if self.prepare is None else self.prepare(), numbers))
        if categories:
            known = [list(column.categories) for column in signature.columns if column.kind == "category"]
            encoder = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
            steps.append((CATEGORIES, encoder, categories))
        estimator = self.estimator({**self.defaults, **parameters}, seed)
        return Pipeline([("columns", ColumnTransformer(steps)), ("model", estimator)])
