"""Whether the probabilities mean what they say: the calibration's slope and intercept, by their intervals.

Does not belong here: the figures themselves (``evaluation.calibration``), and the verdict by an interval (``band``).
"""

from collections.abc import Mapping, Sequence

from churn_assets.champion.gate.band import Place, in_words, interval_of, place
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.evaluation.measures import calibration_intercept, calibration_slope
from churn_assets.settings.company import Gate
from churn_store.releases.manifest import Interval

SLOPE, INTERCEPT = "calibration_slope", "calibration_intercept"

MEANING = {
    (
        SLOPE,
        "below",
    ): "overconfident: high probabilities are too high and low ones too low, as of a model that has learned its training rows "
    "by heart",
    (
        SLOPE,
        "above",
    ): "too timid: the customers differ by more than the probabilities say, as of a model that was held back too much, "
    "or calibrated on few rows",
    (INTERCEPT, "below"): "predicts more churn than happens",
    (INTERCEPT, "above"): "predicts less churn than happens",
}
"""What a figure below or above what is allowed means."""

Bands = Mapping[str, tuple[float, float]]


def calibrated(case: Evidence, bounds: Gate) -> RuleResult:
    """Slope and intercept of the calibration lie within their bounds, with their whole intervals.

    One whose whole interval lies outside fails. An interval that reaches over a bound decides nothing: few rows would fail a sound model
    by chance, or pass a bad one. The figures are computed here; their intervals are those of the manifest, which must be of the
    same figures.
    """
    bands: Bands = {SLOPE: bounds.calibration_slope, INTERCEPT: bounds.calibration_intercept}
    values = {
        SLOPE: calibration_slope(case.churned, case.scores),
        INTERCEPT: calibration_intercept(case.churned, case.scores),
    }
    intervals = {name: interval_of(case, name, value) for name, value in values.items()}
    places = {name: place(interval, bands[name]) for name, interval in intervals.items()}
    numbers = {
        key: value
        for name, interval in intervals.items()
        for key, value in ((name, interval.value), (f"{name}_low", interval.low), (f"{name}_high", interval.high))
    }
    said = ", ".join(f"{_short(name)} {in_words(interval)}" for name, interval in intervals.items())
    allowed = "; ".join(
        f"{_short(name)} {least:g} to {greatest:g} (gate.{name})" for name, (least, greatest) in bands.items()
    )
    failed = "outside" in places.values()
    return RuleResult(
        all(found == "inside" for found in places.values()),
        f"{_meaning(intervals, places, bands)}{said}; {case.evaluation.confidence:.0%} intervals",
        f"{allowed}, with the whole interval; slope 1 and intercept 0 are calibrated",
        undecided=not failed and "undecided" in places.values(),
        numbers=numbers,
    )


def _meaning(intervals: Mapping[str, Interval], places: Mapping[str, Place], bands: Bands) -> str:
    outside = [MEANING[name, _side(intervals[name], bands[name])] for name, found in places.items() if found == "outside"]
    if outside:
        return f"{'; '.join(outside)}: "
    unsure = [_short(name) for name, found in places.items() if found == "undecided"]
    return f"too few rows to tell whether it is calibrated in {_listed(unsure)}: " if unsure else ""


def _side(interval: Interval, band: tuple[float, float]) -> str:
    return "below" if interval.high < band[0] else "above"


def _short(name: str) -> str:
    return name.removeprefix("calibration_")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
