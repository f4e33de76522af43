"""The search for a family's parameters, inside the training rows: successive halving over growing shares of them.

Tree-structured Parzen estimators (Bergstra et al. 2011) draw the parameters, and each is measured on a small share of the customers
first. On the next share, three times as large, are only those that were best so far (Li et al. 2020, "A system for massively
parallel hyperparameter tuning", section 3), and always the defaults and the untuned parameters. Boosting stops by itself on the rows that
measure it, so that rounds grow with the rows. The larger shares are what a search costs: there the newest
snapshot alone measures.

The measure is the mean log loss over folds that lie as training, selecting and judging rows do: the estimator is fitted on
earlier snapshots, and a snapshot at least one horizon later is calibrated and measured, each half of its customers with the
calibration of the other. No selecting or judging row is read. Equal rows and an equal seed find equal parameters.
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
from churn_assets.settings.company import MOST_TRIALS, FittingSettings, Training
from churn_assets.tables import TRAIN
from churn_assets.training.equal_rows import copies_of
from churn_assets.training.families import FAMILIES, Family, Value, inputs
from churn_assets.training.fitting import Fitted, Trial, cross_calibrated, fit, fit_family, fit_until
from churn_assets.training.readiness import require_trainable
from churn_assets.training.search_space import Space, search_space
from churn_assets.training.split import drawn, first_half, places
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.releases.manifest import TableVersion

FOLDS = 2
"""So many later snapshots measure, where there are as many; data without time has so many folds of customers."""

GROWTH = 3
"""Each share of the rows is so many times as large as the one before; of so many parameters one gets to it."""

SHARES = 3
"""So many shares at most: the last is what a search costs."""

SEEDS = 2**32
"""A seed is below this, as NumPy's are."""

STARTUP_SHARE = 0.5
"""Share of the trials that are drawn at random before the search learns from them."""


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
    """Search for parameters on training rows.

    Args:
        family: name of the family.
        rows: rows that train, and no others.
        features: inputs of the model.
        settings: the space, the budget and the horizon.
        fixed: parameters that are given and not searched.
        trials: the budget; default: that of the settings.
        seed: seed of the draws and of the estimators; default: that of the settings.

    Returns:
        Every trial, the defaults first and the untuned parameters second; ``best`` picks one. None where the budget is 1 or nothing is left
        to be searched.

    Raises:
        InputError: the space makes no sense, or the rows can't be learned from.
    """
    import optuna  # noqa: PLC0415 - a second of import that only training pays

    training, known = settings.training, FAMILIES[family]
    budget, seed = training.trials if trials is None else trials, training.seed if seed is None else seed
    space = search_space(known, training, fixed=fixed)
    if budget == 1 or not space:
        return ()
    horizon_s = settings.label.horizon_days * DAY_S if settings.has_time else None
    steps = [
        (share.height, list(folds(share, horizon_s=horizon_s, seed=seed)))
        for share in shares(rows, training.tuning_rows, seed=seed)
    ]
    if not all(parts for _, parts in steps):
        return ()
    steps = [steps[0], *((height, parts[-1:]) for height, parts in steps[1:])]
    starts = _starts(known, space, training, fixed=fixed)
    stops = known.rounds is not None and known.rounds not in {*space, *(fixed or {})}
    found: list[Trial] = []
    first: list[Scores] = []

    def measure(trial: Any) -> float:
        started, suggested = trial.number < len(starts), _suggested(trial, space)
        parameters = starts[trial.number] if started else {**starts[0], **suggested}
        rounds = known.rounds if stops and parameters != starts[-1] else None
        pruned = False
        for step, (height, parts) in enumerate(steps):
            measured = [
                _measured(family, *part, features, training, parameters=parameters, rounds=rounds, seed=seed)
                for part in parts
            ]
            losses = [loss for loss, _ in measured]
            loss = float(np.mean([float(one.mean()) for one in losses]))
            trial.report(loss, GROWTH**step)
            if pruned := trial.should_prune() and not started and height < steps[-1][0]:
                break
        if rounds is not None:
            parameters = {**parameters, rounds: round(float(np.mean([number for _, number in measured])))}
        if not found:
            first[:] = losses
        noise = 0.0 if pruned else _noise(losses, first, [later["customer_id"] for _, later in parts])
        found.append(Trial(parameters, loss, height, noise))
        if pruned:
            raise optuna.TrialPruned
        return loss

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, round(budget * STARTUP_SHARE))),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=GROWTH),
    )
    for start in starts:
        study.enqueue_trial({name: one.nearest(start[name]) for name, one in space.items()})
    study.optimize(measure, n_trials=budget, n_jobs=1)
    return tuple(found)


def search_and_fit(
    family: str,
    training_set: pl.DataFrame,
    features: tuple[Feature, ...],
    settings: FittingSettings,
    *,
    made_of: TableVersion,
    fixed: Mapping[str, object] | None = None,
    trials: int | None = None,
    seed: int | None = None,
) -> Fitted:
    """Search a family's parameters on the training rows of a training set, then fit it with the best of them.

    Args:
        family: name of the family.
        training_set: training set with the rows of every role.
        features: inputs of the model.
        settings: the space, the budget, the seed.
        made_of: the version of the table.
        fixed: parameters that somebody has asked for.
        trials: the budget that somebody has asked for.
        seed: seed that somebody has asked for.

    Raises:
        InputError: what was asked for makes no sense, or the rows can't be learned from.
    """
    known = FAMILIES[family]
    given = known.with_parameters(fixed or {}, where="parameters")
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        raise InputError(
            f"{trials} trials were asked for; expected at least 1, which takes the defaults, and at most {MOST_TRIALS:,}"
        )
    if seed is not None and not 0 <= seed < SEEDS:
        raise InputError(f"the seed {seed} was asked for; expected a whole number from 0 to {SEEDS - 1}")
    rows = training_set.filter(pl.col("role") == TRAIN)
    require_trainable(training_set, features, settings)  # before the search, which may be of fewer rows
    tried = tune(family, rows, features, settings, fixed=given, trials=trials, seed=seed)
    found = best(tried).parameters if tried else given
    return fit_family(family, training_set, features, settings, made_of=made_of, parameters=found, trials=tried, seed=seed)


def best(trials: tuple[Trial, ...]) -> Trial:
    """Of the trials that got to the largest share of the rows that with the least loss.

    The first, which has the defaults, is taken where another is better by no more than its standard error, as is usual of models that can't
    be told apart (Breiman et al. 1984, "Classification and regression trees", section 3.4.3).
    """
    most = max(trial.rows for trial in trials)
    least = min((trial for trial in trials if trial.rows == most), key=lambda trial: trial.log_loss)
    return trials[0] if trials[0].log_loss - least.log_loss <= least.noise else least


def shares(rows: pl.DataFrame, first: int, *, seed: int) -> Iterator[pl.DataFrame]:
    """Growing shares of the customers, each with all customers of the one before; the last may be all rows.

    Args:
        rows: rows that train.
        first: number of rows of the first share, at most.
        seed: seed of the draw.
    """
    for step in range(SHARES):
        yield drawn(rows, size := first * GROWTH**step, draw=f"{seed}:tuning")
        if size >= rows.height:
            return


def folds(rows: pl.DataFrame, *, horizon_s: int | None, seed: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pairs of rows to fit on and later rows to measure on, with both classes in each.

    Args:
        rows: ``churned``, ``customer_id``, the features, and ``snapshot_s`` where data has time.
        horizon_s: of the labels, in seconds: so much later than those that are fitted on the measured snapshots are. None where
            data has no time; folds are then of customers, as they are where there are too few snapshots.
        seed: seed of the folds of customers.
    """
    pairs: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    if horizon_s is not None:
        seen = rows["snapshot_s"].unique().sort().to_list()
        later = [second for second in seen if second - horizon_s >= seen[0]]
        measured = [later[-1 - place * len(later) // FOLDS] for place in range(min(FOLDS, len(later)))]
        pairs = [
            (rows.filter(pl.col("snapshot_s") <= second - horizon_s), rows.filter(pl.col("snapshot_s") == second))
            for second in sorted(set(measured))
        ]
    if not pairs:
        fold = (places(copies_of(rows), f"{seed}:folds") * FOLDS).floor()
        pairs = [(rows.filter(fold != number), rows.filter(fold == number)) for number in range(FOLDS)]
    for earlier, later_rows in pairs:
        if all(_is_enough(part, seed) for part in (earlier, later_rows)):
            yield earlier, later_rows


def _is_enough(rows: pl.DataFrame, seed: int) -> bool:
    """Whether both halves of the customers have both classes."""
    if not rows.height:
        return False
    half, churned = first_half(rows, seed), rows["churned"].to_numpy()
    return all(part.size and not part.all() and part.any() for part in (churned[half], churned[~half]))


def _starts(
    family: Family, space: Mapping[str, Space], training: Training, *, fixed: Mapping[str, Value] | None
) -> list[dict[str, Value]]:
    """The defaults and the untuned parameters, once where they are the same; inside of a space that the settings give."""
    given = set(training.search.get(family.name, {})) & set(space)  # type: ignore[call-overload]
    own, untuned = (
        {**start, **{name: space[name].nearest(start[name]) for name in given}, **(fixed or {})}
        for start in (family.defaults, family.untuned)
    )
    return [own] if own == untuned else [own, untuned]


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
    """The log loss of each later row, and the rounds after which boosting stopped there; 0 where it does not stop by itself."""
    given: dict[str, Any] = {
        "parameters": parameters,
        "seed": seed,
        "minimum_correlation": training.minimum_correlation,
        "resampling": training.resampling,
    }
    if rounds is None:
        pipeline, signature, number = *fit(family, earlier, features, **given), 0
    else:
        pipeline, signature, number = fit_until(family, earlier, later, features, **given)
    churned = later["churned"].to_numpy()
    scores = cross_calibrated(pipeline, inputs(later, signature), churned, first_half(later, seed))
    return log_losses(churned, scores), number


def _noise(losses: Sequence[Scores], first: Sequence[Scores], customers: Sequence[pl.Series]) -> float:
    """The standard error of the difference of two losses over the rows of all folds."""
    ours, theirs = (np.concatenate(parts) for parts in (losses, first))
    return paired_difference(ours, theirs, pl.concat(customers), confidence=CONFIDENCE).standard_error


def _suggested(trial: Any, space: Mapping[str, Space]) -> dict[str, Value]:
    return {name: _suggest(trial, name, one) for name, one in space.items()}


def _suggest(trial: Any, name: str, space: Space) -> Value:
    log = space.parameter.logarithmic and space.least > 0
    suggest = trial.suggest_int if space.parameter.is_whole else trial.suggest_float
    value: Value = suggest(name, space.least, space.greatest, log=log)
    return value
