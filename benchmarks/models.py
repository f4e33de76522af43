"""Quality of the platform's models beside plain scikit-learn, on two public data sets and the synthetic company.

``make bench-models``, or ``python benchmarks/models.py [--quick]``. In one run, on the same folds:

- Telco (7,043 customers, no time): 5 times 5 stratified folds;
- CDNOW (purchases): each snapshot from January 1998 on is judged by models of what was known a horizon before it;
- the synthetic company: the newest two snapshots, as `make demo` judges;
- with ``--large`` also one of ten times as many customers, beside untuned gradient boosting in quality, time and memory.

Ours is what the graph releases: every configured family tuned and fitted on training rows, calibrated on later (Telco: other) rows, the one with
the least log loss there exported, scored through the ONNX model. The baselines are scikit-learn's logistic regression (scaled,
one-hot), random forest and histogram gradient boosting with its defaults, uncalibrated, fitted on all rows that ours saw in
either role; who is called pays by their own probabilities. Nothing is chosen by the rows that judge.

A difference is of ours to the baseline that is best at that measure. Its interval is, over repeated folds, the corrected resampled t of
Nadeau and Bengio (2003, "Inference for the generalization error", Machine Learning 52, section 3), as the folds share their rows;
in time the bootstrap of whole customers. The exit status is 1 if a target does not hold; with ``--quick`` only Telco's count.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from labelled import Company, example, labelled
from large_company import beside_untuned
from large_company import show as show_large
from model_comparison import MEASURES, OURS, SEED, Fold, best_baselines, judged, over_customers, over_folds, table
from sklearn.model_selection import RepeatedStratifiedKFold

from churn_assets.champion.oracle import reachable_probabilities
from churn_assets.connectors.open_source import open_source
from churn_assets.evaluation.measures import Labels, auc
from churn_assets.periods import day_of
from churn_assets.settings.company import Settings
from churn_assets.settings.label import matures_on
from churn_assets.simulator.source import SyntheticSettings
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.split import hash_ranks, roles_by_time
from churn_store.releases.manifest import Interval

HEADS = {"auc": "AUC", "log_loss": "log loss", "brier": "Brier", "lift_top_decile": "lift", "profit": "profit"}
LARGE = 200_000
MOST_TIME = 6.0
"""So many times the time of the untuned model all families may take."""


@dataclass(frozen=True)
class Target:
    """What was to be reached, and whether it was."""

    said: str
    holds: bool
    enforced: bool = True


def telco_folds(company: Company, *, repeats: int, splits: int) -> Iterator[Fold]:
    """Stratified folds, repeated. Of the rows that do not judge as large a share calibrates as in the platform's own split."""
    held_out = company.settings.training.held_out_share
    calibrates = 0.5 * held_out / (1 - held_out)
    folds = RepeatedStratifiedKFold(n_splits=splits, n_repeats=repeats, random_state=SEED)
    churned = company.rows["churned"].to_numpy()
    selecting = (hash_ranks(company.rows["customer_id"], "bench:select") < calibrates).to_numpy()
    for number, (_, test) in enumerate(folds.split(churned, churned)):
        judges = np.isin(np.arange(len(churned)), test)
        role = np.where(judges, JUDGE, np.where(selecting, SELECT, TRAIN))
        yield judged(f"fold {number + 1}", company.rows.with_columns(role=pl.Series(role)), company)


def folds_in_time(company: Company, *, newest: int | None = None) -> Iterator[Fold]:
    """Each snapshot that can be judged, the models being made of what was known then."""
    settings = company.settings
    days = [day_of(second) for second in company.rows["snapshot_s"].unique().sort()]
    horizon = settings.label.horizon
    earliest = next(day for day in days if day >= next(late for late in days if late >= days[0] + horizon) + horizon)
    judging = [day for day in days if day >= earliest]
    for day in judging[-newest:] if newest else judging:
        yield judged(str(day), with_roles(company, [known for known in days if known <= day]), company)


def with_roles(company: Company, days: list[date]) -> pl.DataFrame:
    """The rows of some snapshots with the roles that the platform would give them."""
    training = company.settings.training
    roles = roles_by_time(days, horizon=company.settings.label.horizon, training=training)
    by_second = {
        second: role for second in company.rows["snapshot_s"].unique() if (role := roles.of(day_of(second))) is not None
    }
    inside = company.rows.filter(pl.col("snapshot_s").is_in(list(by_second)))
    return inside.with_columns(role=pl.col("snapshot_s").replace_strict(by_second, return_dtype=pl.String))


def show(
    title: str, found: Mapping[str, Mapping[str, float]], less: Mapping[str, Interval], against: Mapping[str, str]
) -> None:
    """Print a company's table."""
    print(f"\n{title}")
    print(f"  {'':<30}" + "".join(f"{head:>22}" for head in HEADS.values()))
    for model, values in found.items():
        print(f"  {model:<30}" + "".join(f"{values[name]:>22.4f}" for name in MEASURES))
    print(f"  {'ours less the best baseline':<30}" + "".join(f"{less[name].value:>+22.4f}" for name in MEASURES))
    spans = [f"{less[name].low:+.4f} to {less[name].high:+.4f}" for name in MEASURES]
    print(f"  {'  95 %':<30}" + "".join(f"{span:>22}" for span in spans))
    print(f"  {'  which is':<30}" + "".join(f"{against[name]:>22}" for name in MEASURES))


def not_worse(company: str, less: Mapping[str, Interval], *, enforced: bool) -> list[Target]:
    """Ours is at no measure worse than the best baseline beyond the interval."""
    worse = [
        f"{HEADS[name]} {less[name].value:+.4f}"
        for name, sign in MEASURES.items()
        if max(sign * less[name].low, sign * less[name].high) < 0
    ]
    return [
        Target(f"{company}: no measure worse than the best baseline ({', '.join(worse) or 'none is'})", not worse, enforced)
    ]


def telco(*, quick: bool) -> list[Target]:
    """Repeated folds of customers."""
    company = example("telco")
    folds = list(telco_folds(company, repeats=1 if quick else 5, splits=5))
    found = table(folds, company.settings)
    against = best_baselines(found)
    less = over_folds(folds, against, company.settings)
    families = ", ".join(
        f"{name} in {sum(fold.family == name for fold in folds)}" for name in sorted({f.family for f in folds})
    )
    show(f"Telco: {company.rows.height:,} customers, {len(folds)} folds; ours is {families}", found, less, against)
    area, loss = found[OURS]["auc"], found[OURS]["log_loss"]
    return [
        *not_worse("Telco", less, enforced=True),
        # The promise is for 25 folds; five of them lie so close to it that another processor's rounding may decide.
        Target(f"Telco: AUC {area:.4f} on the mean, above 0.845", area > 0.845, not quick),
        Target(f"Telco: log loss {loss:.4f}, at most 0.42", loss <= 0.42),
    ]


def cdnow(*, quick: bool) -> list[Target]:
    """By time, rolling."""
    company = example("cdnow", as_of=date(1998, 7, 1))
    folds = list(folds_in_time(company, newest=2 if quick else None))
    found = table(folds, company.settings)
    against = best_baselines(found)
    less = over_customers(folds, against, company.settings)
    show(f"CDNOW: {sum(len(fold.churned) for fold in folds):,} rows at {len(folds)} snapshots", found, less, against)
    print(f"  {'log loss at':<30}{OURS:>22}{'base rate known then':>22}{'its own base rate':>22}{'ours is':>22}")
    below = []
    for fold in folds:
        ours = fold.measuring(OURS, company.settings)(None)["log_loss"]
        known, own = (_constant_loss(fold.churned, rate) for rate in (fold.known_rate, float(fold.churned.mean())))
        print(f"  {fold.name:<30}{ours:>22.4f}{known:>22.4f}{own:>22.4f}{fold.family:>22}")
        below.append(ours < min(known, own))
    said = f"CDNOW: log loss below that of the base rate at {sum(below)} of {len(below)} test snapshots"
    return [*not_worse("CDNOW", less, enforced=not quick), Target(said, all(below), enforced=not quick)]


def synthetic(*, quick: bool) -> list[Target]:
    """As `make demo` judges, beside the best that the tables allow."""
    customers = 4_000 if quick else 20_000
    company, rows = synthetic_company(customers)
    settings = company.settings
    folds = [judged("newest", rows, company)]
    found = table(folds, settings)
    against = best_baselines(found)
    less = over_customers(folds, against, settings)
    reachable = reachable_probabilities(company.source, rows.filter(role=JUDGE), label=settings.label)
    assert reachable is not None
    ceiling = auc(folds[0].churned, reachable)
    title = f"Synthetic company: {customers:,} customers, {len(reachable):,} judging rows; ours is {folds[0].family}"
    show(title, found, less, against)
    short = ceiling - found[OURS]["auc"]
    return [
        *not_worse("Synthetic", less, enforced=not quick),
        Target(
            f"Synthetic: AUC {short:.4f} below the best from the tables, {ceiling:.4f}, at most 0.01",
            short <= 0.01,
            not quick,
        ),
    ]


def synthetic_company(customers: int) -> tuple[Company, pl.DataFrame]:
    """The synthetic company, and its rows with the roles that `make demo` gives them."""
    as_of = date(2026, 1, 1)
    settings = Settings(company="synthetic", source=SyntheticSettings(customers=customers))
    settings = settings.model_copy(
        update={"features": settings.features.model_copy(update={"first_snapshot": date(2024, 7, 1)})}
    )
    company = labelled(settings, open_source(settings), as_of=as_of)
    days = [day_of(second) for second in company.rows["snapshot_s"].unique().sort()]
    return company, with_roles(company, [day for day in days if matures_on(day, settings.label) <= as_of])


def large(customers: int) -> list[Target]:
    """A company of many customers, beside gradient boosting that nobody has tuned."""
    company, rows = synthetic_company(customers)
    found = beside_untuned(company, rows, seed=SEED)
    show_large(f"Synthetic company: {customers:,} customers, {rows.filter(role=TRAIN).height:,} training rows", found)
    margins = company.settings.gate
    name = f"{customers:,} customers"
    return [
        Target(
            f"{name}: AUC {found.auc_gain[0]:+.4f} beside untuned gradient boosting, at least {-margins.untuned_auc_margin}",
            found.auc_gain[0] >= -margins.untuned_auc_margin,
        ),
        Target(
            f"{name}: log loss {-found.log_loss_gain[0]:+.4f} beside it, at most {margins.untuned_log_loss_margin}",
            found.log_loss_gain[0] >= -margins.untuned_log_loss_margin,
        ),
        # Of few rows one fit takes less than the first share of a search.
        Target(
            f"{name}: {found.ratio:.1f} times its time, at most {MOST_TIME:g}", found.ratio <= MOST_TIME, customers >= LARGE
        ),
    ]


def _constant_loss(churned: Labels, rate: float) -> float:
    return float(-np.mean(np.where(churned, np.log(rate), np.log(1 - rate))))


def main() -> int:
    """Print the tables and the targets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer folds, a smaller company; of the targets only Telco's log loss and baselines count",
    )
    parser.add_argument("--only", choices=("telco", "cdnow", "synthetic", "large"), help="one of them alone")
    parser.add_argument(
        "--large",
        type=int,
        nargs="?",
        const=LARGE,
        metavar="CUSTOMERS",
        help=f"also a large company beside untuned gradient boosting; default {LARGE:,} customers, which take 6 GB and 20 minutes",
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    targets: list[Target] = []
    for run in (telco, cdnow, synthetic):
        if arguments.only in (None, run.__name__):
            began = time.perf_counter()
            targets += run(quick=arguments.quick)
            print(f"  {time.perf_counter() - began:.0f} s")
    if arguments.large or arguments.only == "large":
        targets += large(arguments.large or LARGE)
    print()
    for target in targets:
        print(f"{'holds' if target.holds else 'FAILS'}  {target.said}{'' if target.enforced else ' (not enforced)'}")
    return 1 if any(target.enforced and not target.holds for target in targets) else 0


if __name__ == "__main__":
    sys.exit(main())
