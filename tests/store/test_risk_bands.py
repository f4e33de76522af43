"""Risk bands: where each begins, by hand; every probability has one, and older releases have a documented default."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_store.releases.manifest import GREATEST_THRESHOLD, Evaluation, Manifest, ProfitTerms, ReliabilityBin
from churn_store.releases.risk_bands import bands_of
from tests.release_factory import train

MANIFEST = train().manifest
PROFIT = ProfitTerms(200.0, 10.0, 1.0, 6.0, 14.0)
"""A churner brings 0.3 * 190 - 1 = 56, anybody else costs 11: half of 56 is brought by a share of (28 + 11) / 67 = 0.5821."""

CALIBRATED = (ReliabilityBin(60, 0.1, 0.1), ReliabilityBin(30, 0.3, 0.3), ReliabilityBin(10, 0.9, 0.9))
"""Of 100 rows, 24 churned."""


def of(threshold: float, bins: tuple[ReliabilityBin, ...] = CALIBRATED, profit: ProfitTerms = PROFIT) -> Manifest:
    assert isinstance(MANIFEST.evaluation, Evaluation)
    evaluation = msgspec.structs.replace(MANIFEST.evaluation, reliability=bins, profit=profit)
    return msgspec.structs.replace(MANIFEST, threshold=threshold, evaluation=evaluation)


def test_bands_follow_from_the_average_the_threshold_and_the_profit() -> None:
    bands = bands_of(of(0.3))
    assert dict(zip(bands.names, bands.bounds, strict=True)) == {"low": 0, "medium": 0.24, "high": 0.3, "critical": 0.5821}
    assert [bands.of(p) for p in (0, 0.2399, 0.24, 0.2999, 0.3, 0.58, 0.5821, 1)] == [
        "low", "low", "medium", "medium", "high", "high", "critical", "critical",
    ]  # fmt: skip
    assert bands.origin == "release"


def test_a_model_that_says_half_of_the_truth_has_bounds_half_as_high() -> None:
    halved = tuple(ReliabilityBin(one.rows, one.predicted / 2, one.observed) for one in CALIBRATED)
    assert bands_of(of(0.2, halved)).bounds == (0, 0.12, 0.2, 0.291)


def test_bins_that_fall_are_pooled() -> None:
    bins = (ReliabilityBin(10, 0.1, 0.3), ReliabilityBin(10, 0.3, 0.1), ReliabilityBin(10, 0.9, 0.9))
    assert bands_of(of(0.6, bins)).bounds[1] == pytest.approx(0.2 + 0.7 * (1.3 / 3 - 0.2) / 0.7, abs=1e-4)


def test_a_band_that_would_be_empty_is_left_out() -> None:
    assert bands_of(of(0.1)).names == ("low", "high", "critical")  # an offer pays below the average already
    assert bands_of(of(0.7)).names == ("low", "medium", "high")
    assert bands_of(of(0.0)).names == ("high", "critical")
    assert bands_of(of(GREATEST_THRESHOLD)).of(1.0) == "medium"  # nobody is called


def test_a_release_of_format_1_has_two_bands() -> None:
    older = msgspec.structs.replace(MANIFEST, format=1, threshold=0.2, evaluation=msgspec.UNSET)
    bands = bands_of(older)
    assert (bands.names, bands.bounds, bands.origin) == (("low", "high"), (0.0, 0.2), "threshold")


def test_an_operator_s_bands_take_the_place_of_these() -> None:
    bands = bands_of(of(0.3), {"calm": 0.0, "look": 0.5})
    assert [bands.of(p) for p in (0.0, 0.49, 0.5, 1.0)] == ["calm", "calm", "look", "look"]


BINS = st.lists(st.builds(ReliabilityBin, st.integers(0, 500), st.floats(0, 1), st.floats(0, 1)), max_size=10).map(tuple)
MONEY = st.floats(0.1, 1e6)


@given(st.floats(0, 1), BINS, st.builds(ProfitTerms, MONEY, MONEY, MONEY, st.just(6.0), st.just(14.0)), st.floats(0, 1))
def test_whatever_was_measured_bands_rise_and_say_high_where_churn_is_said(
    threshold: float, bins: tuple[ReliabilityBin, ...], profit: ProfitTerms, probability: float
) -> None:
    bands = bands_of(of(threshold, bins, profit))
    assert bands.bounds[0] == 0
    assert all(low < high for low, high in zip(bands.bounds, bands.bounds[1:], strict=False))
    assert (bands.of(probability) in {"high", "critical"}) == (probability >= threshold)
