"""Profiles and findings in a real lake: a blocked month stops only itself, a corrected one counts, an accepted one is the new usual."""

from pathlib import Path

import polars as pl
import pytest

from churn_assets.lake.lake import Lake
from churn_assets.quality import table_quality
from churn_assets.quality.acceptances import Acceptance, accept, acceptances, as_cause
from churn_assets.quality.findings import UNKNOWN, VANISHED, blocking_findings, judged_periods, quality_findings
from churn_assets.quality.profile import Profile, profile_of
from churn_assets.quality.profile_table import TABLE as PROFILES
from churn_store.errors import InputError
from tests.quality.company import LAST, MONTHS, Kept

VANISHING = "feature_used"
BROKEN, NEXT = MONTHS[5], MONTHS[6]


def without(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("event_type") != VANISHING)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(Lake(str(tmp_path)))


def accepted(period: str, at_s: int = 1) -> Acceptance:
    return Acceptance(at_s, "events", period, VANISHED, "renamed", "ada")


def test_a_blocked_month_stops_only_itself_until_it_is_corrected(kept: Kept) -> None:
    kept.deliver(*MONTHS[:5])
    assert kept.deliver(BROKEN, change=without)[BROKEN].blocks
    assert [(one.period, one.kind) for one in blocking_findings(kept.lake)] == [(BROKEN, VANISHED)]
    assert not kept.deliver(NEXT)[NEXT].blocks, "it is compared with the months that stand"
    assert not kept.deliver(BROKEN)[BROKEN].blocks
    assert blocking_findings(kept.lake) == []
    assert judged_periods(kept.lake) == {("events", month) for month in MONTHS[:7]}


def test_the_months_of_one_run_are_compared_with_those_before_them_in_it(kept: Kept) -> None:
    assert not any(one.blocks for one in kept.deliver(*MONTHS).values())
    told = quality_findings(kept.lake, len(MONTHS))
    assert {one.kind for one in told} == {UNKNOWN}
    assert {one.period for one in told} == set(MONTHS[:4])


def test_findings_are_those_of_the_newest_months(kept: Kept) -> None:
    kept.deliver(*MONTHS[:5])
    kept.deliver(BROKEN, change=without)
    assert {one.period for one in quality_findings(kept.lake, 1)} == {BROKEN}
    assert quality_findings(kept.lake, 0) == []


def test_a_lake_in_which_nothing_was_judged_has_no_findings(kept: Kept) -> None:
    assert quality_findings(kept.lake, 5) == []
    assert judged_periods(kept.lake) == set()


@pytest.mark.parametrize("also", [(), (NEXT,)])
def test_an_accepted_month_is_let_pass_and_is_what_later_months_are_compared_with(
    kept: Kept, also: tuple[str, ...]
) -> None:
    kept.deliver(*MONTHS[:5])
    kept.deliver(BROKEN, change=without)
    accept(kept.lake, accepted(BROKEN))
    judgement = kept.deliver(BROKEN, change=without)[BROKEN]
    assert not judgement.blocks
    assert "It was accepted by ada (renamed)" in judgement.sentence
    later = kept.deliver(*also, change=without)
    assert not any(one.blocks for one in later.values())
    if also:
        assert f"too few earlier periods to tell ({VANISHED}): 1, expected 3" in later[NEXT].sentence


def test_acceptances_are_only_added_and_each_is_a_new_cause_of_runs(kept: Kept) -> None:
    assert as_cause(kept.lake, ["events"]) == []
    accept(kept.lake, accepted(BROKEN))
    accept(kept.lake, accepted(NEXT, at_s=2))
    assert [one.of_period for one in acceptances(kept.lake)] == [BROKEN, NEXT]
    assert as_cause(kept.lake, ["events"]) == [("events", BROKEN, VANISHED), ("events", NEXT, VANISHED)]
    assert as_cause(kept.lake, ["payments"]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Acceptance(1, "events", BROKEN, "odd", "renamed", "ada"), "'odd' is no kind of fault; expected one of nulls"),
        (Acceptance(1, "events", BROKEN, VANISHED, " ", "ada"), "the reason of an acceptance has 1 characters"),
        (Acceptance(1, "events", BROKEN, VANISHED, "renamed", ""), "the actor of an acceptance has 0 characters"),
    ],
)
def test_an_acceptance_without_kind_reason_or_name_is_refused(kept: Kept, given: Acceptance, said: str) -> None:
    with pytest.raises(InputError, match=said):
        accept(kept.lake, given)
    assert acceptances(kept.lake) == []


def test_profiles_are_read_and_not_made_again_unless_the_rows_are_others(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.deliver(*MONTHS[:6])
    made: list[str] = []

    def noted(frame: pl.DataFrame, table: str, period: str, *, bounds_s: tuple[int, int] | None) -> Profile:
        made.append(period)
        return profile_of(frame, table, period, bounds_s=bounds_s)

    monkeypatch.setattr(table_quality, "profile_of", noted)
    kept.deliver(NEXT)
    assert made == [NEXT]
    # As a restore would: other rows of a month, of which no run of quality has heard.
    kept.lake.replace("events", {MONTHS[2]: kept.read(MONTHS[2]).head(500)}, run_id="a restore")
    kept.deliver(MONTHS[7])
    assert made == [NEXT, MONTHS[7], MONTHS[2]]


def test_profiles_that_are_gone_are_made_again_from_the_rows(kept: Kept, tmp_path: Path) -> None:
    kept.deliver(*MONTHS[:6])
    (tmp_path / PROFILES).rename(tmp_path / "elsewhere")
    assert kept.deliver(LAST, change=without)[LAST].blocks
    assert kept.lake.read(PROFILES, "events")["of_period"].to_list() == MONTHS[1:6]
