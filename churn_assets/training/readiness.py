"""Whether training can begin with these rows: the message of every step that would refuse them.

`churn validate` asks here before anything is written, and training itself before the search, so that the two can't disagree.

Belongs here: the steps in their order. Does not belong here: the conditions themselves (``training_set``,
``preconditions``, ``contracts``).
"""

from collections.abc import Callable, Iterator

import polars as pl

from churn_assets.contracts import violations
from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.contracts import no_single_feature_tells, training_contract
from churn_assets.training.leakage import single_feature_aucs
from churn_assets.training.preconditions import (
    constant_features,
    require_both_halves,
    require_both_to_calibrate,
    require_finite,
    require_two_classes,
    uninformative_numbers,
)
from churn_assets.training.split import first_half
from churn_assets.training.training_set import check_enough, signature_of
from churn_store.errors import InputError


def refusals(rows: pl.DataFrame, features: tuple[Feature, ...], settings: FittingSettings) -> list[str]:
    """Every message with which ``training_set`` or a family would refuse these rows; empty if training can begin.

    Args:
        rows: training set with key, features, ``churned`` and ``role``.
        features: features that models see.
        settings: sections of the settings that a fit depends on.
    """
    return list(dict.fromkeys([*_of_training_set(rows, features, settings), *_of_fit(rows, features, settings)]))


def require_trainable(rows: pl.DataFrame, features: tuple[Feature, ...], settings: FittingSettings) -> None:
    """Refuse a training set that no family can be fitted on.

    Raises:
        InputError: a step would refuse the rows; the message is that of the first one.
    """
    for sentence in _of_fit(rows, features, settings):
        raise InputError(sentence)


def _of_training_set(rows: pl.DataFrame, features: tuple[Feature, ...], settings: FittingSettings) -> Iterator[str]:
    yield from _refusal(lambda: check_enough(rows, settings.training))
    allowed = [feature.name for feature in features]  # names are checked where the features are chosen
    contract = training_contract(features, has_time=settings.has_time, allowed=allowed)
    yield from (f"{broken.kind}: {broken}" for broken in violations(contract, rows.select(list(contract.columns))))
    leak_check = no_single_feature_tells(single_feature_aucs(rows, features), settings.training.single_feature_auc)
    if not leak_check.passed:
        yield f"no_single_feature_tells: {leak_check.found}"


def _of_fit(rows: pl.DataFrame, features: tuple[Feature, ...], settings: FittingSettings) -> Iterator[str]:
    training, selecting = (rows.filter(pl.col("role") == role) for role in (TRAIN, SELECT))
    varying = varying_features(training, features)
    yield from _refusal(lambda: signature_of(features, training))
    yield from _refusal(lambda: require_two_classes(training, "to train on"))
    try:
        signature = signature_of(varying, training)
    except InputError:  # reported above
        signature = signature_of([feature for feature in varying if feature.kind == "number"], training)
    yield from _refusal(lambda: require_finite(training, signature, "to train on"))
    if signature.columns:
        yield from _refusal(
            lambda: uninformative_numbers(training, signature, minimum_correlation=settings.training.minimum_correlation)
        )
    yield from _refusal(lambda: require_finite(selecting, signature, "to calibrate on"))
    churned = selecting["churned"].to_numpy()
    one_class = list(_refusal(lambda: require_both_to_calibrate(churned)))
    yield from one_class
    if not one_class:
        yield from _refusal(lambda: require_both_halves(churned, first_half(selecting, settings.training.seed)))


def varying_features(rows: pl.DataFrame, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The features that vary between rows; all of them if none does, as the fit then says why nothing can be learned."""
    constant = constant_features(rows, features)
    return tuple(feature for feature in features if feature.name not in constant) or features


def _refusal(step: Callable[[], object]) -> Iterator[str]:
    try:
        step()
    except InputError as error:
        yield str(error)
