"""Assignment: sticky, of the right share, and independent from experiment to experiment."""

from churn_store.experiments.assignment import is_treated

UNITS = [f"c{number}" for number in range(20_000)]


def test_each_share_is_kept() -> None:
    for share in (0.05, 0.2, 0.5, 0.95):
        treated = sum(is_treated("salt", unit, share) for unit in UNITS)
        assert abs(treated / len(UNITS) - share) < 0.015


def test_nobody_and_everybody() -> None:
    assert not any(is_treated("salt", unit, 0.0) for unit in UNITS)
    assert all(is_treated("salt", unit, 1.0) for unit in UNITS)


def test_a_larger_share_keeps_the_customers_of_a_smaller_one() -> None:
    assert all(is_treated("salt", unit, 0.5) for unit in UNITS if is_treated("salt", unit, 0.2))


def test_another_salt_cuts_across() -> None:
    both = sum(is_treated("one", unit, 0.5) and is_treated("two", unit, 0.5) for unit in UNITS)
    assert abs(both / len(UNITS) - 0.25) < 0.015


def test_the_assignment_of_earlier_releases_stays() -> None:
    """A challenge that runs while the platform is updated keeps its customers."""
    kept = [number for number in range(1, 25) if is_treated("a" * 64, f"c{number}", 0.2)]
    assert kept == [9, 11, 16, 17, 23]
    assert is_treated("a" * 64, "ä", 0.2)
