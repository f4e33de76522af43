"""Times that parse and are nonsense are told; the unit and the format that a message advises fit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.store.mapping.reading import HEAD, PAYMENTS, as_advised, delivered, payments, refusal

START = datetime(2024, 1, 5, 10, 30, tzinfo=UTC)
TIMES = [START + timedelta(days=2 * n, minutes=n) for n in range(60)]
SECONDS = [int(time.timestamp()) for time in TIMES]
MIDNIGHTS = [second - second % 86_400 for second in SECONDS]


def rows(written: list[str]) -> str:
    return HEAD + "".join(f'c{n % 7},"{time}",1\n' for n, time in enumerate(written))


@pytest.mark.parametrize(
    ("written", "advised", "seconds"),
    [
        ([str(second) for second in SECONDS], "seconds: write `time_format: epoch_s`", SECONDS),
        ([f"{second}123" for second in SECONDS], "milliseconds: write `time_format: epoch_ms`", SECONDS),
        ([f"{second}123456" for second in SECONDS], "microseconds: write `time_format: epoch_us`", SECONDS),
        ([f"{second}123456789" for second in SECONDS], "nanoseconds: write `time_format: epoch_ns`", SECONDS),
        (
            [f"{second / 86_400 + 25_569:.9f}" for second in SECONDS],
            "spreadsheet: write `time_format: excel_days`",
            SECONDS,
        ),
        ([str(second // 86_400 + 25_569) for second in SECONDS], "spreadsheet: write `time_format: excel_days`", MIDNIGHTS),
        ([f"{time:%Y%m%d}" for time in TIMES], 'write `time_format: "%Y%m%d"`', MIDNIGHTS),
        ([f"{time:%d.%m.%Y %H:%M:%S}" for time in TIMES], 'write `time_format: "%d.%m.%Y %H:%M:%S"`', SECONDS),
        ([f"{time:%m/%d/%Y}" for time in TIMES], 'write `time_format: "%m/%d/%Y"`', MIDNIGHTS),
        ([f"{time:%b %d, %Y}" for time in TIMES], 'write `time_format: "%b %d, %Y"`', MIDNIGHTS),
    ],
)
def test_what_a_message_advises_reads_the_times(
    tmp_path: Path, written: list[str], advised: str, seconds: list[int]
) -> None:
    message = refusal(tmp_path, rows(written))
    assert advised in message
    assert delivered(tmp_path, "payments", as_advised(message, PAYMENTS)).rows["occurred_s"].to_list() == seconds


@pytest.mark.parametrize("unit", ["epoch_s", "epoch_ms", "epoch_us"])
def test_another_unit_than_the_configured_one_is_named_by_the_digits(tmp_path: Path, unit: str) -> None:
    message = refusal(tmp_path, rows([f"{second}000000000" for second in SECONDS]), time_format=unit)
    assert "60 of 60 times lie in the future" in message
    assert "they are nanoseconds: write `time_format: epoch_ns`" in message


def test_zeros_and_seconds_among_milliseconds_are_set_aside(tmp_path: Path) -> None:
    written = [f"{second}000" for second in SECONDS] * 3 + ["0", str(SECONDS[0])]
    found = payments(tmp_path, rows(written), time_format="epoch_ms")
    assert found.rows["occurred_s"].to_list() == sorted(SECONDS * 3)
    assert found.unreadable["rule"].unique().to_list() == [
        "a time after January 1970, as zeros and seconds among them are none"
    ]
    assert found.unreadable["value"].sort().to_list() == ["0", str(SECONDS[0])]


@pytest.mark.parametrize(
    ("written", "unit"), [("-1", "epoch_s"), ("-86400000", "epoch_ms"), ("60", "excel_days"), ("0", "excel_days")]
)
def test_counts_that_can_not_be_meant_are_set_aside(tmp_path: Path, written: str, unit: str) -> None:
    good = {"epoch_s": str(SECONDS[0]), "epoch_ms": f"{SECONDS[0]}000", "excel_days": "45292"}[unit]
    found = payments(tmp_path, rows([good] * 60 + [written]), time_format=unit)
    assert (found.rows.height, found.unreadable["value"].to_list()) == (60, [written])


def test_days_in_digits_are_no_seconds(tmp_path: Path) -> None:
    message = refusal(tmp_path, rows([f"{time:%Y%m%d}" for time in TIMES]), time_format="epoch_s")
    assert "before 1980" in message
    assert 'write `time_format: "%Y%m%d"`' in message


def test_an_offset_that_no_zone_has_is_no_time(tmp_path: Path) -> None:
    assert "holds '2024-01-01T00:00:00+99:99'" in refusal(tmp_path, rows(["2024-01-01T00:00:00+99:99"]))


def test_a_zero_that_became_a_date_is_set_aside(tmp_path: Path) -> None:
    found = payments(tmp_path, rows([f"{time:%Y-%m-%d}" for time in TIMES] + ["1970-01-01"]))
    assert found.rows["occurred_s"].to_list() == MIDNIGHTS
    assert found.unreadable["value"].to_list() == ["1970-01-01"]


@pytest.mark.parametrize("end", ["9999-12-31", "9999-12-31 23:59:59", "9999-12-31T23:59:59-12:00"])
def test_no_end_lies_in_the_future_and_breaks_nothing(tmp_path: Path, end: str) -> None:
    found = payments(tmp_path, rows([f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in TIMES] + [end]), time_zone="UTC")
    assert found.rows["occurred_s"].to_list() == [*SECONDS, 253_402_214_400]


@pytest.mark.parametrize("end", [" UTC", "UTC", " GMT", "Z", " +00:00"])
def test_a_time_may_say_that_it_is_of_utc(tmp_path: Path, end: str) -> None:
    found = payments(tmp_path, rows([f"{time:%Y-%m-%d %H:%M:%S}{end}" for time in TIMES]), time_zone="Asia/Tokyo")
    assert found.rows["occurred_s"].to_list() == SECONDS


def test_days_and_months_that_nothing_tells_apart_are_noted(tmp_path: Path) -> None:
    ambiguous = [f"{n % 12 + 1:02}/{n % 6 + 1:02}/2024" for n in range(60)]
    [note] = payments(tmp_path, rows(ambiguous), time_format="%d/%m/%Y").notes
    assert "no day in column paid_at is above 12" in note
    assert "read as '%d/%m/%Y'" in note
    assert payments(tmp_path, rows([*ambiguous, "13/01/2024"]), time_format="%d/%m/%Y").notes == ()


def test_local_days_of_a_spreadsheet_are_days_and_its_times_are_of_the_zone(tmp_path: Path) -> None:
    found = payments(tmp_path, rows(["45292", "45292.5"]), time_format="excel_days", time_zone="Europe/Berlin")
    midnight = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    assert found.rows["occurred_s"].to_list() == [midnight, midnight + 11 * 3600]
