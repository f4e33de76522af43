"""The rule that a candidate is calibrated: slope and intercept of the calibration lie in their bands, by their intervals.

Does not belong here: the figures themselves (``evaluation.calibration``), and the verdict by an interval (``band``).
"""

from collections.abc import Mapping, Sequence

from churn_assets.champion.gate.band import Place, in_words, interval_of, place
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.measures import calibration_intercept, calibration_slope
from churn_assets.settings.gate import Gate
from churn_store.releases.manifest import Interval

SLOPE, INTERCEPT = "calibration_slope", "calibration_intercept"

MEANING = {
    (
        SLOPE,
        "below",
    ): "overconfident: high probabilities are too high and low ones too low, as of a model that has memorized its training "
    "rows",
    (
        SLOPE,
        "above",
    ): "underconfident: the customers differ by more than the probabilities say, as of a model that was regularized too "
    "much, or calibrated on few rows",
    (INTERCEPT, "below"): "predicts more churn than happens",
    (INTERCEPT, "above"): "predicts less churn than happens",
}
"""Meaning of a figure below or above its band."""

Bands = Mapping[str, tuple[float, float]]


def calibrated(case: Evidence, bounds: Gate) -> RuleResult:
    """Slope and intercept of the calibration lie within their bounds, with their whole intervals.

    If a whole interval lies outside, the rule fails. If an interval crosses a bound, the rule is undecided: with few rows a sound model
    would fail by chance, or a bad one pass. The figures are computed here; their intervals come from the manifest, after a check that they
    are of the same figures.
    """
    bands: Bands = {SLOPE: bounds.calibration_slope, INTERCEPT: bounds.calibration_intercept}
    values = {
        SLOPE: calibration_slope(case.churned, case.scores),
        INTERCEPT: calibration_intercept(case.churned, case.scores),
    }
    intervals = {name: interval_of(case, name, value) for name, value in values.items()}
    by_band = {name: place(interval, bands[name]) for name, interval in intervals.items()}
    numbers = {
        key: value
        for name, interval in intervals.items()
        for key, value in ((name, interval.value), (f"{name}_low", interval.low), (f"{name}_high", interval.high))
    }
    figures = ", ".join(f"{_short(name)} {in_words(interval)}" for name, interval in intervals.items())
    allowed = "; ".join(
        f"{_short(name)} {least:g} to {greatest:g} (gate.{name})" for name, (least, greatest) in bands.items()
    )
    failed = "outside" in by_band.values()
    return RuleResult(
        all(where == "inside" for where in by_band.values()),
        f"{_meaning(intervals, by_band, bands)}{figures}; {case.evaluation.confidence:.0%} intervals",
        f"{allowed}, with the whole interval; slope 1 and intercept 0 are calibrated",
        undecided=not failed and "undecided" in by_band.values(),
        numbers=numbers,
    )


def _meaning(intervals: Mapping[str, Interval], by_band: Mapping[str, Place], bands: Bands) -> str:
    outside = [MEANING[name, _side(intervals[name], bands[name])] for name, where in by_band.items() if where == "outside"]
    if outside:
        return f"{'; '.join(outside)}: "
    undecided = [_short(name) for name, where in by_band.items() if where == "undecided"]
    return f"too few rows to tell whether it is calibrated in {_listed(undecided)}: " if undecided else ""


def _side(interval: Interval, band: tuple[float, float]) -> str:
    return "below" if interval.high < band[0] else "above"


def _short(name: str) -> str:
    return name.removeprefix("calibration_")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
