"""The feature audit: what carries the model is seen, what says nothing is not, and what others say too is seen only with them."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from churn_assets.cli.features import in_words
from churn_assets.evaluation.profit import most_profitable_threshold
from churn_assets.features.feature_sets import features_of
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit
from churn_assets.settings.training import Training
from churn_assets.training.feature_audit import Ablation, FeatureAudit, correlated_groups, cross_thresholded, folds
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.model.signature import Column

ROWS, CUSTOMERS = 3_000, 1_500
NUMBERS = ("vital", "useless", "twin", "sister", "always")


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Training and selecting rows, two a customer: churn follows ``vital``, and ``twin`` and ``sister``, which are nearly equal."""
    random = np.random.default_rng(11)
    count = 2 * ROWS
    vital, twin, useless, noise = random.normal(size=(4, count))
    churned = random.random(count) < 1 / (1 + np.exp(2 - 1.5 * vital - 1.5 * twin))
    return pl.DataFrame(
        {
            "customer_id": [f"c{i % CUSTOMERS}" for i in range(count)],
            "snapshot_s": [i // CUSTOMERS for i in range(count)],
            "vital": vital,
            "useless": useless,
            "twin": twin,
            "sister": twin + 0.01 * noise,
            "always": 1.0,
            "plan": random.choice(["free", "pro"], count),
            "churned": churned,
            "role": ["train"] * ROWS + ["select"] * ROWS,
        }
    )


@pytest.fixture(scope="module")
def audit(rows: pl.DataFrame) -> FeatureAudit:
    columns = [Column(name=name, kind="number") for name in NUMBERS]
    return FeatureAudit(
        rows,
        features_of(["customers"], [*columns, Column(name="plan", kind="category")], has_time=False),
        family="logistic_regression",
        parameters={},
        settings=FittingSettings(Training(), Profit(), Label(), AtRisk(), has_time=True),
        seed=3,
    )


@pytest.fixture(scope="module")
def found(audit: FeatureAudit) -> dict[tuple[str, ...], Ablation]:
    return {left_out.features: left_out for left_out in audit.ablations(audit.default_sets(), audit.full_model())}


def test_each_feature_is_left_out_alone_and_correlated_ones_together(audit: FeatureAudit) -> None:
    assert set(audit.default_sets()) == {("vital",), ("useless",), ("twin",), ("sister",), ("plan",), ("twin", "sister")}


def test_a_vital_feature_earns_its_place_in_money_and_in_log_loss(found: dict[tuple[str, ...], Ablation]) -> None:
    vital = found["vital",]
    assert vital.verdict == "earns"
    assert vital.profit.low > 0
    assert vital.log_loss.low > 0.02
    assert vital.auc > 0.05


def test_a_useless_feature_is_not_shown_to_earn_its_place(found: dict[tuple[str, ...], Ablation]) -> None:
    assert found["useless",].verdict != "earns"
    assert abs(found["useless",].log_loss.value) < 0.002


def test_what_two_features_say_alike_is_seen_only_when_both_are_left_out(found: dict[tuple[str, ...], Ablation]) -> None:
    assert abs(found["twin",].log_loss.value) < 0.002
    assert abs(found["sister",].log_loss.value) < 0.002
    assert found["twin", "sister"].log_loss.low > 0.02


def test_the_same_seed_gives_the_same_figures(audit: FeatureAudit, found: dict[tuple[str, ...], Ablation]) -> None:
    [again] = audit.ablations([("vital",)], audit.full_model())
    assert again == found["vital",]


def test_the_lines_name_what_is_not_shown_and_leave_out_what_earns(found: dict[tuple[str, ...], Ablation]) -> None:
    lines = in_words(list(found.values()))
    assert "earns its place" in next(line for line in lines if line.startswith("  vital "))
    [idle] = [line for line in lines if line.startswith("Not shown to earn")]
    assert "useless" in idle
    assert "vital" not in idle


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("vital", "unheard_of"), "unheard_of is no input of the model"),
        (("vital", "useless", "twin", "sister", "plan"), "the model has no input"),
    ],
)
def test_what_cannot_be_left_out_is_refused(audit: FeatureAudit, names: tuple[str, ...], why: str) -> None:
    with pytest.raises(InputError, match=why):
        list(audit.ablations([names], audit.full_model()))


def test_each_half_is_called_by_the_threshold_of_the_other() -> None:
    random = np.random.default_rng(2)
    scores, half = random.random(400), np.arange(400) < 200
    churned = random.random(400) < scores
    called = cross_thresholded(churned, scores, half, Profit())
    threshold = most_profitable_threshold(churned[200:], scores[200:], Profit())
    np.testing.assert_array_equal(called[:200], scores[:200] >= threshold)


def test_folds_measure_the_newer_half_of_what_does_not_judge_by_models_from_before_it() -> None:
    months = pl.int_range(12, eager=True)
    roles = ["train"] * 9 + ["select"] + ["judge"] * 2
    rows = pl.DataFrame({"snapshot_s": months * 30 * DAY_S, "role": roles, "customer_id": [f"c{i}" for i in months]})

    def months_of(frame: pl.DataFrame) -> list[int]:
        return (frame["snapshot_s"] // (30 * DAY_S)).to_list()

    found = folds(rows, timedelta(days=31), seed=1)
    assert [(months_of(fold.training), months_of(fold.later)) for fold in found] == [
        ([0, 1, 2, 3], [5, 6, 7]),
        ([0, 1, 2, 3, 4, 5, 6], [8, 9]),
    ]


@pytest.mark.parametrize("columns", [["snapshot_s", "role", "customer_id"], ["role", "customer_id"]])
def test_a_short_history_and_data_without_time_are_measured_on_the_selecting_rows(columns: list[str]) -> None:
    rows = pl.DataFrame(
        {"snapshot_s": [0, 1, 2], "role": ["train", "select", "judge"], "customer_id": ["c1", "c2", "c3"]}
    ).select(columns)
    [fold] = folds(rows, timedelta(days=30), seed=1)
    assert (fold.training["role"].to_list(), fold.later["role"].to_list()) == (["train"], ["select"])


def test_columns_without_spread_and_missing_values_make_no_group() -> None:
    frame = pl.DataFrame({"same": [1.0] * 6, "up": [1.0, 2, 3, 4, 5, None], "down": [6.0, 5, 4, 3, 2, 9]})
    assert correlated_groups(frame, seed=0) == [("same",), ("up", "down")]
    assert correlated_groups(frame.select("up"), seed=0) == [("up",)]
