"""The platform's model compared with untuned ones on the same folds, for ``models.py``: fits, measures and intervals.

Belongs here: a fold with the scores of all models, and the differences of their measures. Does not belong here: the companies, their
folds and what is asked of the figures (``models``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from labelled import Company
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn_assets.champion.candidate import best_family
from churn_assets.evaluation.evaluate import measuring
from churn_assets.evaluation.intervals import bootstrap
from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.evaluation.profit import worth
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, TRAIN
from churn_assets.training.fitting import fit_family
from churn_assets.training.tuning import best, tune
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases.manifest import Interval, TableVersion

OURS = "ours"

MEASURES = {"auc": 1, "log_loss": -1, "brier": -1, "lift_top_decile": 1, "profit": 1}
"""What is compared, and whether more of it is better."""

NOT_READ = TableVersion(0)

SEED = 20


@dataclass(frozen=True)
class Fold:
    """A fold: its judging rows, and the scores and the threshold of every model for them."""

    name: str
    churned: Labels
    customers: pl.Series
    fitted_on: int
    family: str
    known_rate: float
    scores: Mapping[str, Scores]
    thresholds: Mapping[str, float]

    def measuring(self, model: str, settings: Settings) -> Any:
        """The measures of a model under any weights of the rows."""
        threshold = self.thresholds[model]
        return measuring(self.churned, self.scores[model], threshold=threshold, profit=settings.profit)


def judged(name: str, rows: pl.DataFrame, company: Company) -> Fold:
    """Fit all models on the rows of a fold that do not judge, and score those that do."""
    settings, training = company.settings, rows.filter(role=TRAIN)
    families = []
    for family in settings.training.families:
        trials = tune(family, training, company.features, settings.fitting)
        parameters = best(trials).parameters if trials else None
        families.append(
            fit_family(
                family, rows, company.features, settings.fitting, data=NOT_READ, parameters=parameters, trials=trials
            )
        )
    chosen = best_family(families)
    known, judging = rows.filter(pl.col("role") != JUDGE), rows.filter(role=JUDGE)
    scores = {OURS: Scorer(chosen.model, chosen.signature).score_frame(judging)}
    scores |= plain(known, judging, chosen.signature)
    kept, wasted = worth(settings.profit)
    pays_from = wasted / (wasted - kept)
    return Fold(
        name,
        judging["churned"].to_numpy(),
        judging["customer_id"],
        known.height,
        chosen.family,
        float(known["churned"].to_numpy().mean()),
        scores,
        dict.fromkeys(scores, pays_from) | {OURS: chosen.threshold},
    )


def plain(known: pl.DataFrame, judging: pl.DataFrame, signature: Signature) -> dict[str, Scores]:
    """scikit-learn's models with their defaults."""
    numbers, words = zip(*(signature.frame_tensors(rows) for rows in (known, judging)), strict=True)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoded = [np.empty((len(rows), 0)) for rows in words]
    if signature.categories:
        encoder.fit(words[0])
        encoded = [encoder.transform(rows) for rows in words]
    median = SimpleImputer(strategy="median", keep_empty_features=True).fit(numbers[0])
    filled = [np.hstack([median.transform(part), more]) for part, more in zip(numbers, encoded, strict=True)]
    gaps = [np.hstack([part, more]) for part, more in zip(numbers, encoded, strict=True)]
    models: dict[str, tuple[Any, Sequence[npt.NDArray[Any]]]] = {
        "logistic regression": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), filled),
        "random forest": (RandomForestClassifier(random_state=SEED, n_jobs=2), filled),
        "gradient boosting": (HistGradientBoostingClassifier(random_state=SEED), gaps),
    }
    churned = known["churned"].to_numpy()
    return {name: model.fit(x, churned).predict_proba(asked)[:, 1] for name, (model, (x, asked)) in models.items()}


def table(folds: Sequence[Fold], settings: Settings) -> dict[str, dict[str, float]]:
    """The mean of each measure over the folds, by model."""
    return {model: _mean([fold.measuring(model, settings)(None) for fold in folds]) for model in folds[0].scores}


def best_baselines(found: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The best baseline by measure."""
    return {
        name: max((model for model in found if model != OURS), key=lambda model: sign * found[model][name])
        for name, sign in MEASURES.items()
    }


def over_folds(folds: Sequence[Fold], against: Mapping[str, str], settings: Settings) -> dict[str, Interval]:
    """Ours less the best baseline, with the corrected resampled t."""
    found = {}
    values = [{model: fold.measuring(model, settings)(None) for model in fold.scores} for fold in folds]
    tested = float(np.mean([len(fold.churned) / fold.fitted_on for fold in folds]))
    for name, theirs in against.items():
        differences = np.array([value[OURS][name] - value[theirs][name] for value in values])
        error = np.sqrt((1 / len(folds) + tested) * differences.var(ddof=1))
        reach = float(student.ppf(0.975, len(folds) - 1) * error)
        mean = float(differences.mean())
        found[name] = Interval(mean, mean - reach, mean + reach)
    return found


def over_customers(
    folds: Sequence[Fold], against: Mapping[str, str], settings: Settings, *, draws: int = 200
) -> dict[str, Interval]:
    """Ours less the best baseline, with the bootstrap of whole customers."""
    measured = [{model: fold.measuring(model, settings) for model in fold.scores} for fold in folds]
    ends = np.cumsum([len(fold.churned) for fold in folds])[:-1]

    def differences(weights: npt.NDArray[np.float64] | None) -> dict[str, float]:
        parts = [None] * len(folds) if weights is None else np.split(weights, ends)
        each = []
        for models, part in zip(measured, parts, strict=True):
            values = {model: models[model](part) for model in {OURS, *against.values()}}
            each.append({name: values[OURS][name] - values[theirs][name] for name, theirs in against.items()})
        return _mean(each)

    churned = np.concatenate([fold.churned for fold in folds])
    customers = pl.concat([fold.customers for fold in folds])
    return bootstrap(differences, churned, customers, confidence=0.95, seed=SEED, draws=draws)


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}
