"""The search for a family's parameters on the training rows: successive halving over growing shares of them.

A tree-structured Parzen estimator (Bergstra et al. 2011) proposes parameters, and each proposal is measured on a small share of the
customers first. Only the best go on to the next share, which is three times as large (Li et al. 2020, "A system for massively parallel
hyperparameter tuning", section 3); the defaults and the untuned parameters always do. Boosting is stopped early on the rows that measure
it, so that the number of rounds grows with the rows. To save time, the larger shares are measured on the newest snapshot alone.

The loss is the mean log loss over folds with the same gaps as between training, selecting and judging rows. The estimator is fitted on
earlier snapshots. A snapshot at least one horizon later is calibrated and measured: each half of its customers with the calibration of
the other. No selecting or judging row is read. Equal rows and an equal seed find equal parameters.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from churn_assets.evaluation.evaluate import CONFIDENCE
from churn_assets.evaluation.intervals import paired_difference
from churn_assets.evaluation.measures import Scores, log_losses
from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.training import MOST_TRIALS, Training
from churn_assets.tables import TRAIN
from churn_assets.training.equal_rows import copy_representatives
from churn_assets.training.families import FAMILIES, Family, Value, inputs
from churn_assets.training.fitting import Fitted, Trial, cross_calibrated, fit, fit_early_stopping, fit_family
from churn_assets.training.readiness import require_trainable
from churn_assets.training.search_space import Space, search_space
from churn_assets.training.split import first_half, hash_ranks, sample_customers
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.releases.manifest import TableVersion

FOLDS = 2
"""Number of later snapshots that measure, if there are enough; for data without time, the number of folds of customers."""

GROWTH = 3
"""Size of a share relative to the one before, and number of proposals of which one goes on to it."""

SHARES = 3
"""Greatest number of shares; the last one takes most of the time."""

SEEDS = 2**32
"""The bound of seeds, as in NumPy."""

STARTUP_SHARE = 0.5
"""Share of the trials whose parameters are drawn at random before the search learns from them."""


def tune(
    family: str,
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    settings: FittingSettings,
    *,
    fixed: Mapping[str, Value] | None = None,
    trials: int | None = None,
    seed: int | None = None,
) -> tuple[Trial, ...]:
    """Search for the parameters of a family.

    Args:
        family: name of the family.
        rows: training rows, without those of other roles.
        features: inputs of the model.
        settings: search space, number of trials and horizon.
        fixed: parameters with a given value, which are not searched.
        trials: number of trials; default: that of the settings.
        seed: seed of the search and of the estimators; default: that of the settings.

    Returns:
        Every trial, the defaults first and the untuned parameters second; ``best`` picks one. Empty if one trial was asked for, or if no
        parameter is left to search.

    Raises:
        InputError: the search space is impossible, or no model can be learned from the rows.
    """
    import optuna  # noqa: PLC0415 - a second of import that only training pays

    training, entry = settings.training, FAMILIES[family]
    budget, seed = training.trials if trials is None else trials, training.seed if seed is None else seed
    space = search_space(entry, training, fixed=fixed)
    if budget == 1 or not space:
        return ()
    horizon_s = settings.label.horizon_days * DAY_S if settings.has_time else None
    steps = [
        (share.height, list(folds(share, horizon_s=horizon_s, seed=seed)))
        for share in shares(rows, training.tuning_rows, seed=seed)
    ]
    if not all(pairs for _, pairs in steps):
        return ()
    steps = [steps[0], *((height, pairs[-1:]) for height, pairs in steps[1:])]
    starts = _starting_points(entry, space, training, fixed=fixed)
    stops_early = entry.rounds is not None and entry.rounds not in {*space, *(fixed or {})}
    trials_done: list[Trial] = []
    losses_of_defaults: list[Scores] = []

    def measure(trial: Any) -> float:
        is_start, suggested = trial.number < len(starts), _suggested(trial, space)
        parameters = starts[trial.number] if is_start else {**starts[0], **suggested}
        rounds = entry.rounds if stops_early and parameters != starts[-1] else None
        pruned = False
        for step, (height, pairs) in enumerate(steps):
            measured = [
                _measured(family, *pair, features, training, parameters=parameters, rounds=rounds, seed=seed)
                for pair in pairs
            ]
            losses = [of_rows for of_rows, _ in measured]
            loss = float(np.mean([float(of_rows.mean()) for of_rows in losses]))
            trial.report(loss, GROWTH**step)
            if pruned := trial.should_prune() and not is_start and height < steps[-1][0]:
                break
        if rounds is not None:
            parameters = {**parameters, rounds: round(float(np.mean([number for _, number in measured])))}
        if not trials_done:
            losses_of_defaults[:] = losses
        customers = [later["customer_id"] for _, later in pairs]
        noise = 0.0 if pruned else _standard_error(losses, losses_of_defaults, customers)
        trials_done.append(Trial(parameters, loss, height, noise))
        if pruned:
            raise optuna.TrialPruned
        return loss

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, round(budget * STARTUP_SHARE))),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=GROWTH),
    )
    for start in starts:
        study.enqueue_trial({name: bounds.nearest(start[name]) for name, bounds in space.items()})
    study.optimize(measure, n_trials=budget, n_jobs=1)
    return tuple(trials_done)


def search_and_fit(
    family: str,
    training_set: pl.DataFrame,
    features: tuple[Feature, ...],
    settings: FittingSettings,
    *,
    data: TableVersion,
    fixed: Mapping[str, object] | None = None,
    trials: int | None = None,
    seed: int | None = None,
) -> Fitted:
    """Search a family's parameters on the training rows, then fit it with the best of them.

    Args:
        family: name of the family.
        training_set: training set with the rows of every role.
        features: inputs of the model.
        settings: search space, number of trials and seed.
        data: version and digest of the table that the rows were read from.
        fixed: requested values of parameters.
        trials: requested number of trials.
        seed: requested seed.

    Raises:
        InputError: a requested value is not allowed, or no model can be learned from the rows.
    """
    requested = FAMILIES[family].with_parameters(fixed or {}, where="parameters")
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        raise InputError(
            f"{trials} trials were asked for; expected at least 1, which takes the defaults, and at most {MOST_TRIALS:,}"
        )
    if seed is not None and not 0 <= seed < SEEDS:
        raise InputError(f"the seed {seed} was asked for; expected a whole number from 0 to {SEEDS - 1}")
    rows = training_set.filter(pl.col("role") == TRAIN)
    require_trainable(training_set, features, settings)  # before the search, which may look at fewer rows
    done = tune(family, rows, features, settings, fixed=requested, trials=trials, seed=seed)
    parameters = best(done).parameters if done else requested
    return fit_family(family, training_set, features, settings, data=data, parameters=parameters, trials=done, seed=seed)


def best(trials: tuple[Trial, ...]) -> Trial:
    """The trial with the least loss, of those that were measured on the largest share of the rows.

    If it is better than the first trial, which has the defaults, by at most one standard error, the first is taken (Breiman et al.
    1984, "Classification and regression trees", section 3.4.3).
    """
    largest = max(trial.rows for trial in trials)
    winner = min((trial for trial in trials if trial.rows == largest), key=lambda trial: trial.log_loss)
    return trials[0] if trials[0].log_loss - winner.log_loss <= winner.noise else winner


def shares(rows: pl.DataFrame, first: int, *, seed: int) -> Iterator[pl.DataFrame]:
    """Growing shares of the customers, each with all customers of the one before; the last may have all rows.

    Args:
        rows: training rows.
        first: greatest number of rows of the first share.
        seed: seed of the sample.
    """
    for step in range(SHARES):
        yield sample_customers(rows, size := first * GROWTH**step, draw=f"{seed}:tuning")
        if size >= rows.height:
            return


def folds(rows: pl.DataFrame, *, horizon_s: int | None, seed: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pairs of rows to fit on and later rows to measure on, with both classes in each.

    Args:
        rows: rows with ``churned``, ``customer_id``, the features, and ``snapshot_s`` if the data has time.
        horizon_s: horizon of the labels in seconds, the least gap between fitted and measured snapshots; `None` if the data has no time.
            Folds are then of customers, as they are with too few snapshots.
        seed: seed of the folds of customers.
    """
    pairs: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    if horizon_s is not None:
        snapshots = rows["snapshot_s"].unique().sort().to_list()
        later = [second for second in snapshots if second - horizon_s >= snapshots[0]]
        measured = [later[-1 - fold * len(later) // FOLDS] for fold in range(min(FOLDS, len(later)))]
        pairs = [
            (rows.filter(pl.col("snapshot_s") <= second - horizon_s), rows.filter(pl.col("snapshot_s") == second))
            for second in sorted(set(measured))
        ]
    if not pairs:
        fold_of = (hash_ranks(copy_representatives(rows), f"{seed}:folds") * FOLDS).floor()
        pairs = [(rows.filter(fold_of != fold), rows.filter(fold_of == fold)) for fold in range(FOLDS)]
    for earlier, later_rows in pairs:
        if all(_is_enough(side, seed) for side in (earlier, later_rows)):
            yield earlier, later_rows


def _is_enough(rows: pl.DataFrame, seed: int) -> bool:
    """Whether both halves of the customers have both classes."""
    if not rows.height:
        return False
    half, churned = first_half(rows, seed), rows["churned"].to_numpy()
    return all(labels.size and not labels.all() and labels.any() for labels in (churned[half], churned[~half]))


def _starting_points(
    family: Family, space: Mapping[str, Space], training: Training, *, fixed: Mapping[str, Value] | None
) -> list[dict[str, Value]]:
    """The defaults and the untuned parameters, moved into the ranges that the settings give; one of them if they are equal."""
    bounded = set(training.search.get(family.name, {})) & set(space)  # type: ignore[call-overload]
    defaults, untuned = (
        {**start, **{name: space[name].nearest(start[name]) for name in bounded}, **(fixed or {})}
        for start in (family.defaults, family.untuned)
    )
    return [defaults] if defaults == untuned else [defaults, untuned]


def _measured(
    family: str,
    earlier: pl.DataFrame,
    later: pl.DataFrame,
    features: tuple[Feature, ...],
    training: Training,
    *,
    parameters: Mapping[str, Value],
    rounds: str | None,
    seed: int,
) -> tuple[Scores, int]:
    """The log loss of each later row, and the number of rounds; 0 without early stopping."""
    options: dict[str, Any] = {
        "parameters": parameters,
        "seed": seed,
        "minimum_correlation": training.minimum_correlation,
        "resampling": training.resampling,
    }
    if rounds is None:
        pipeline, signature, number = *fit(family, earlier, features, **options), 0
    else:
        pipeline, signature, number = fit_early_stopping(family, earlier, later, features, **options)
    churned = later["churned"].to_numpy()
    scores = cross_calibrated(pipeline, inputs(later, signature), churned, first_half(later, seed))
    return log_losses(churned, scores), number


def _standard_error(losses: Sequence[Scores], baseline: Sequence[Scores], customers: Sequence[pl.Series]) -> float:
    """The standard error of the difference between two losses over the rows of all folds."""
    trial, other = (np.concatenate(by_fold) for by_fold in (losses, baseline))
    return paired_difference(trial, other, pl.concat(customers), confidence=CONFIDENCE).standard_error


def _suggested(trial: Any, space: Mapping[str, Space]) -> dict[str, Value]:
    return {name: _suggest(trial, name, bounds) for name, bounds in space.items()}


def _suggest(trial: Any, name: str, space: Space) -> Value:
    log = space.parameter.logarithmic and space.least > 0
    suggest = trial.suggest_int if space.parameter.is_whole else trial.suggest_float
    value: Value = suggest(name, space.least, space.greatest, log=log)
    return value
