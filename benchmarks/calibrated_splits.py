"""How often the rule ``calibrated`` passes, rejects or can't decide on a sound model: another split each time, a model trained on it.

The customers are those of the benchmark of the gate. Of seven snapshots four train, one calibrates and two judge, so that what is judged is the
model with its calibration, which few rows make uncertain too. Beside it what a rule would say that goes by the figures without their intervals.
"""

from collections import Counter

import numpy as np
from gate import GATE, case_of, frame_of, trained
from gate_samples import PROFIT, draw, weights_of

from churn_assets.champion.gate.calibrated import INTERCEPT, SLOPE, calibrated
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, SELECT, TRAIN

ROLES = [TRAIN] * 4 + [SELECT, JUDGE, JUDGE]


def verdicts(customers: int, splits: int) -> Counter[str]:
    """How often each verdict is found, and how often the figures alone lie outside of what is allowed."""
    settings = Settings(company="benchmark", gate=GATE, profit=PROFIT)
    generator = np.random.default_rng(customers)
    found: Counter[str] = Counter()
    for _ in range(splits):
        rows = frame_of(draw(customers, len(ROLES), weights_of(0.5, 0.0), generator), 0, ROLES)
        chosen, candidate = trained(rows, settings)
        said = calibrated(case_of(rows, chosen, candidate, None, settings), GATE)
        found["passed" if said.passed else "undecided" if said.undecided else "rejected"] += 1
        bands = {SLOPE: GATE.calibration_slope, INTERCEPT: GATE.calibration_intercept}
        found["by the figures alone"] += any(not low <= said.numbers[name] <= high for name, (low, high) in bands.items())
    return found


def print_calibrated(*, sizes: tuple[int, ...], splits: int) -> None:
    """The table by number of customers."""
    names = ("passed", "undecided", "rejected", "by the figures alone")
    print(
        f"\nThe rule calibrated on a sound model, {splits} splits each; the last column: rejected by the figures without intervals\n"
    )
    print(f"  {'customers':>10}" + "".join(f"{name:>22}" for name in names))
    for customers in sizes:
        found = verdicts(customers, splits)
        print(f"  {customers:>10,}" + "".join(f"{found[name]:>22}" for name in names), flush=True)
