"""What the candidate and its judging rows were made of: checked tables, mature labels, later snapshots."""

from datetime import date

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.periods import day_of
from churn_assets.settings.company import Label, matures_on
from churn_assets.training.split import draw_of
from churn_assets.training.training_set import snapshots
from churn_store.errors import InputError

SHOWN = 3


def data_quality_green(case: Evidence, label: Label, *, now_s: int) -> RuleResult:
    """Every blocking check of what the candidate was made of has passed, and the judging labels are mature.

    Args:
        case: case with the checks that must have passed; if none of them is found, that is as bad as one that failed.
        label: label settings, for maturity.
        now_s: time by the platform's clock, in epoch seconds.
    """
    today = day_of(now_s)
    ripens = {day: matures_on(date.fromisoformat(day), label) for day in snapshots(case.judging)}
    unripe = [f"the labels of {day} are not mature before {ripe}" for day, ripe in ripens.items() if ripe > today]
    bad = [str(checked) for checked in case.checks if checked.status != "passed"]
    wrong = [*bad, *unripe] if case.checks else ["no check was found", *unripe]
    shown = "; ".join(wrong[:SHOWN]) + (f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
    green = f"{len(case.checks)} checks of {len({checked.table for checked in case.checks})} tables have passed"
    ripe = f"the labels of {', '.join(ripens)} are mature" if ripens else "data without time, whose labels are as they come"
    return RuleResult(
        not wrong,
        f"not proven to be made of right data: {shown}" if wrong else f"{green}; {ripe}",
        "each blocking check of the tables that the candidate was made of has passed when it was last evaluated, and "
        f"each judging label is mature by the clock ({today}; label.horizon_days and label.grace_days); make the table named again",
        numbers={
            "checks": len(case.checks),
            "not_passed": len(bad),
            "judging_snapshots": len(ripens),
            "not_mature": len(unripe),
        },
    )


def judging_rows_are_later(case: Evidence) -> RuleResult:
    """No model was trained on a label that reaches into the judging rows.

    Of data without time the champion must have held out the same customers, or it was trained on who judges now. Rows that moved
    beside an equal one since are few, and what they change is in the champion's favour; they are told.
    """
    has_time = "snapshot_s" in case.judging.columns
    if not 0 <= case.champion_knows <= case.judging.height:
        raise InputError(
            f"the champion is said to be trained on {case.champion_knows} of {case.judging.height} judging rows; expected 0 to as many"
        )
    if case.champion is not None and draw_of(str(case.champion_split)) != draw_of(case.split):
        return RuleResult(
            False,
            f"judged on rows that the champion may know: split {case.split}; the champion's split {case.champion_split}",
            "the champion's split; another one judges on rows that the champion was trained on, so set training.seed and "
            "training.held_out_share back",
        )
    if not has_time and case.judging_from is None:
        known = (
            f"; {case.champion_knows} of {case.judging.height} judging rows trained the champion, as they had other equal rows then: "
            "that is in its favour"
            if case.champion_knows
            else ""
        )
        return RuleResult(
            bool(case.split),
            f"split {case.split}; the data has no time, so its order can't be checked{known}",
            "rows of customers that the candidate was not trained on, nor the champion but for rows that have an equal one",
            numbers={"known_to_champion": case.champion_knows},
        )
    first = int(case.judging["snapshot_s"].to_numpy().min())
    if not case.split or case.judging_from is None or first != case.judging_from:
        raise InputError(
            f"the judging rows begin on {day_of(first)}, are said to begin on "
            f"{'no day' if case.judging_from is None else day_of(case.judging_from)} and to be split {case.split}; materialize training_set "
            "and the families anew"
        )
    ends = {"candidate": case.candidate_trained_until}
    if case.champion is not None:
        ends["champion"] = case.champion_trained_until
    late = [who for who, until in ends.items() if until is None or until > case.judging_from]
    said = ", ".join(f"{who} until {'unknown' if until is None else day_of(until)}" for who, until in ends.items())
    return RuleResult(
        not late,
        f"{'judged on rows that a model was trained on: ' if late else ''}judging from {day_of(case.judging_from)}, trained: {said}",
        "every label that a model was trained on ends before the first judging snapshot, which no setting allows otherwise; run the job retrain",
    )
