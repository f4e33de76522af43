"""How often the gate promotes an equal model, and a better one, by size and difference: ``python benchmarks/gate.py``.

First the rule ``more_profit_than_champion`` alone, by its own code. A customer churns by a signal that both models know, one that only
the candidate knows and one that only the champion knows; half of each signal is the customer's own and stays from snapshot to
snapshot, so the rows of the two snapshots are not independent. Where both own signals are equally strong, the two models are exactly
equal by symmetry, although they call other customers: whoever is promoted then is promoted falsely. Where the candidate's own
signal is stronger, its gain is what it truly brings, taken from a million customers. Two models that share most of their signal, as
a retrained one and its champion do, and two that share little are both judged. Beside it what a peer's rule would do, which promotes
whatever has the greater AUC.

Then the whole of ``judge``, on trained, calibrated and exported models: the champion is the candidate with the names of the two own
signals exchanged, so the two are equal again; and a candidate that truly knows more.

Intervals are those of Clopper and Pearson (95 %). False promotion must not lie above 5 % by them, or the exit status is 1.
"""

import argparse
import hashlib
import sys
import tempfile
from collections import Counter
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from gate_samples import PROFIT, Sample, decisions, draw, true_gain, weights_of
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from churn_assets.champion.candidate import Candidate, build
from churn_assets.champion.gate.evidence import Checked, Evidence
from churn_assets.champion.gate.profit import compared
from churn_assets.champion.gate.verdict import judge
from churn_assets.champion.untuned import untuned_scores
from churn_assets.evaluation.baselines import baselines
from churn_assets.evaluation.evaluate import evaluate
from churn_assets.features.feature_sets import features_of
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.fitted_family import GOLDEN, MODEL, contents
from churn_assets.training.fitting import Fitted, fit_family
from churn_assets.training.held_out import pipeline_probabilities
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from churn_store.model.signature import Column
from churn_store.releases.bundles import Bundle
from churn_store.releases.manifest import Blessing, Manifest, Rule, TableVersion

CUSTOMERS = (300, 1_000, 5_000, 15_000)
DIFFERENCES = {"none": 0.0, "small": 0.35, "medium": 0.7, "large": 1.0}
"""By name how much of the champion's own signal the candidate's has beyond it: 1 leaves the champion none."""

SHARED = {"most": 0.9, "little": 0.3}
"""The share of the signals' variance that both models know."""

ALLOWED = 0.05
GATE = Gate()
ONLY_CUSTOMERS: tuple[Table, ...] = ("customers",)
FEATURES = features_of(
    ONLY_CUSTOMERS, [Column(name=name, kind="number") for name in ("both", "ours", "theirs")], has_time=False
)
FIRST = epoch_s(date(2025, 1, 1))
MONTH_S = 31 * DAY_S


def interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson, 95 %."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(0.975, hits + 1, of - hits))
    return low, high


def in_words(hits: int, of: int) -> str:
    """A rate with its interval."""
    low, high = interval(hits, of)
    return f"{hits / of:6.1%} ({low:.1%} to {high:.1%})"


def rule_rates(customers: int, shared: float, difference: float, repetitions: int) -> Counter[str]:
    """How often the rule, and the peer's, promote."""
    weights = weights_of(shared, difference)
    generator = np.random.default_rng([customers, round(100 * shared), round(100 * difference)])
    found: Counter[str] = Counter()
    for _ in range(repetitions):
        drawn = draw(customers, 2, weights, generator)
        ours, theirs, we_call, they_call = decisions(drawn, weights)
        rule = compared(drawn.churned, we_call, they_call, drawn.customers, bounds=GATE, profit=PROFIT)
        found["promoted"] += rule.passed
        found["undecided"] += rule.undecided
        found["peer"] += roc_auc_score(drawn.churned, ours) > roc_auc_score(drawn.churned, theirs)
    return found


def print_rule(sizes: tuple[int, ...], repetitions: int) -> bool:
    """The table of the rule alone; whether false promotion is kept."""
    kept = True
    print(
        f"more_profit_than_champion, two snapshots, {repetitions:,} repetitions of equal models, {repetitions // 4:,} of others\n"
    )
    print(
        f"{'shared':<8}{'difference':<12}{'true gain':>10}{'customers':>11}  {'promoted':<24}{'no decision':>12}"
        f"   {'by greater AUC':<24}"
    )
    for name, shared in SHARED.items():
        for said, difference in DIFFERENCES.items():
            gain = true_gain(weights_of(shared, difference)) if difference else 0.0
            times = repetitions if difference == 0 else repetitions // 4
            for customers in sizes:
                found = rule_rates(customers, shared, difference, times)
                above = difference == 0 and interval(found["promoted"], times)[0] > ALLOWED
                kept = kept and not above
                print(
                    f"{name:<8}{said:<12}{gain:>+10.3f}{customers:>11,}  {in_words(found['promoted'], times):<24}"
                    f"{found['undecided'] / times:>12.1%}   {in_words(found['peer'], times):<24}"
                    + ("  ABOVE 5 %" if above else ""),
                    flush=True,
                )
    return kept


def frame_of(drawn: Sample, first: int, role: list[str]) -> pl.DataFrame:
    """Rows as a training set has them, from the snapshot ``first`` on, with the role of each snapshot."""
    return pl.DataFrame(
        {
            "customer_id": drawn.customers.cast(pl.String),
            "snapshot_s": [FIRST + (first + int(snapshot)) * MONTH_S for snapshot in drawn.snapshots],
            **{name: drawn.signals[:, place] for place, name in enumerate(("both", "ours", "theirs"))},
            "churned": drawn.churned,
            "role": [role[int(snapshot)] for snapshot in drawn.snapshots],
            "truth": drawn.truth,
        }
    )


def trained(rows: pl.DataFrame, settings: Settings) -> tuple[Fitted, Candidate]:
    """A logistic regression, trained and calibrated on rows."""
    chosen = fit_family("logistic_regression", rows, FEATURES, settings.fitting, data=TableVersion(0, "0" * 64))
    left = contents(chosen, rows, seed=1)
    return chosen, build(chosen.signature, model=left[MODEL], golden=left[GOLDEN], training_set=rows, seed=1)


def served(chosen: Fitted, candidate: Candidate) -> Bundle:
    """A model as the champion."""
    blessing = Blessing("0" * 64, "accepted", (Rule("by hand", True, "", ""),), "benchmark", FIRST)
    manifest = Manifest(
        format=1,
        company="benchmark",
        family=chosen.family,
        signature=candidate.signature,
        label="",
        horizon_days=30,
        threshold=chosen.threshold,
        metrics={},
        trained_on=(),
        training_rows=0,
        judged_on=(),
        judging_rows=0,
        split="by time",
        tables={},
        mlflow={},
        code_commit="",
        lock_sha256="",
        created_s=FIRST,
        files={},
        blessing=blessing,
    )
    return Bundle("0" * 64, manifest, candidate.scorer)


def print_judge(customers: int, repetitions: int) -> bool:
    """How often the whole gate accepts an equal model, and one that knows more; whether false promotion is kept."""
    settings = Settings(
        company="benchmark",
        home=Path(tempfile.mkdtemp()),
        evaluation=EvaluationSettings(draws=100),
        gate=GATE,
        profit=PROFIT,
        training=Training(families=("logistic_regression",)),
    )
    weights = weights_of(0.5, 0.0)
    generator = np.random.default_rng(1)
    known = frame_of(draw(6_000, 5, weights, generator), 0, [TRAIN] * 4 + [SELECT])
    blind = known.with_columns(theirs=pl.Series(generator.normal(size=known.height)))
    mirrored = blind.rename({"ours": "theirs", "theirs": "ours"}).select(blind.columns)
    champion = served(*trained(mirrored, settings))
    kept = True
    print(f"\njudge, all rules, {customers:,} customers at two snapshots, {repetitions:,} repetitions each\n")
    for name, rows in (("equal", blind), ("knows more", known)):
        chosen, candidate = trained(rows, settings)
        accepted, reasons = 0, Counter[str]()
        for _ in range(repetitions):
            judging = frame_of(draw(customers, 2, weights, generator), 6, [JUDGE, JUDGE])
            verdict = judge(
                partial(case_of, pl.concat([rows, judging]), chosen, candidate, champion, settings),
                candidate="0" * 64,
                settings=settings.judging,
                actor="benchmark",
                now_s=FIRST + 10 * MONTH_S,
            ).blessing
            accepted += verdict.verdict == "accepted"
            reasons.update(rule.name for rule in verdict.rules if not rule.passed)
        above = name == "equal" and interval(accepted, repetitions)[0] > ALLOWED
        kept = kept and not above
        print(
            f"{name:<12}accepted {in_words(accepted, repetitions)}{'  ABOVE 5 %' if above else ''}; not passed: "
            + (", ".join(f"{rule} {times}" for rule, times in reasons.most_common()) or "nothing"),
            flush=True,
        )
    return kept


def case_of(
    rows: pl.DataFrame, chosen: Fitted, candidate: Candidate, champion: Bundle | None, settings: Settings
) -> Evidence:
    """What the gate looks at, as the asset reads it."""
    judging = rows.filter(role=JUDGE)
    first = judging["snapshot_s"].min()
    return Evidence(
        trained=pipeline_probabilities(chosen.pipeline, rows, candidate.signature, model=chosen.model),
        model=hashlib.sha256(chosen.model).hexdigest(),
        scorer=candidate.scorer,
        threshold=chosen.threshold,
        golden=candidate.files["golden.json"],
        training_set=rows,
        checks=(Checked("training_set", "schema", None, "passed"),),
        evaluation=evaluate(
            rows,
            candidate.scorer,
            threshold=chosen.threshold,
            profit=settings.profit,
            evaluation=settings.evaluation,
            seed=settings.training.seed,
        ),
        baselines=baselines(rows, candidate.signature),
        untuned=untuned_scores(rows, FEATURES, settings.fitting),
        reachable=judging["truth"].to_numpy(),
        judging_from=int(first),  # type: ignore[arg-type]
        candidate_trained_until=FIRST + 5 * MONTH_S,
        epoch=1,
        champion=champion,
        champion_trained_until=FIRST + 5 * MONTH_S,
        nth=1,
        split="by time",
        champion_split="by time",
    )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repetitions")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=1_000,
        help="of the rule alone on equal models, on others a quarter (default %(default)s)",
    )
    parser.add_argument("--judged", type=int, default=200, help="repetitions of the whole gate (default %(default)s)")
    given = parser.parse_args()
    sizes = CUSTOMERS[:2] if given.quick else CUSTOMERS
    repetitions, judged = (200, 20) if given.quick else (given.repetitions, given.judged)
    kept = print_rule(sizes, repetitions)
    kept = print_judge(1_000, judged) and kept
    print(f"\nFalse promotion {'does not lie' if kept else 'LIES'} above {ALLOWED:.0%}.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
