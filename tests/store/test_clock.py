"""The one clock: wall time, or a fixed time that every process sees at once."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from churn_store.clock import Clock, parse_time
from churn_store.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "not yet there" / "as_of"


def test_without_a_file_the_clock_follows_wall_time(file: Path) -> None:
    clock = Clock(file)
    assert not clock.is_fixed
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_fixed_time_is_seen_by_another_clock_on_the_same_file_at_once(file: Path) -> None:
    running = Clock(file)
    Clock(file).fix(datetime(2026, 2, 1, 6, tzinfo=UTC))
    assert running.is_fixed
    assert running.now() == datetime(2026, 2, 1, 6, tzinfo=UTC)
    assert running.now_s() == 1769925600


def test_a_fixed_time_in_another_zone_is_the_same_moment(file: Path) -> None:
    Clock(file).fix(datetime(2026, 2, 1, 8, tzinfo=timezone(timedelta(hours=2))))
    assert Clock(file).now() == datetime(2026, 2, 1, 6, tzinfo=UTC)


def test_a_clock_can_be_stepped_and_let_go(file: Path) -> None:
    clock = Clock(file)
    clock.fix(datetime(2026, 2, 1, tzinfo=UTC))
    clock.fix(datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.now().month == 3
    clock.follow_wall_time()
    clock.follow_wall_time()
    assert not clock.is_fixed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T06:00:00", datetime(2026, 2, 1, 6, tzinfo=UTC)),
        ("2026-02-01T06:00:00+02:00", datetime(2026, 2, 1, 4, tzinfo=UTC)),
        ("2026-02-01T06:00:00Z", datetime(2026, 2, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_date_or_time_is_read_as_utc_unless_it_names_a_zone(text: str, expected: datetime) -> None:
    assert parse_time(text, where="AS_OF") == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1769904000"])
def test_what_is_no_time_is_refused_with_the_place_that_holds_it(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(InputError, match=r"as_of: .* is not a time; expected"):
        Clock(file).now()
