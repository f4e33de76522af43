"""The rules on the data of a candidate: checked tables, mature labels, judging rows later than training."""

from datetime import date

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.periods import day_of
from churn_assets.settings.label import Label, matures_on
from churn_assets.training.split import hold_out_draw
from churn_assets.training.training_set import snapshots
from churn_store.errors import InputError

SHOWN = 3
"""Greatest number of faults that the sentence names."""


def data_quality_green(case: Evidence, label: Label, *, now_s: int) -> RuleResult:
    """Every blocking check of the candidate's tables has passed, and the judging labels are mature.

    Args:
        case: evidence with the checks that must have passed; having no checks counts as a failure.
        label: definition of churn, which says when labels are mature.
        now_s: time by the platform's clock, in epoch seconds.
    """
    today = day_of(now_s)
    mature_on = {day: matures_on(date.fromisoformat(day), label) for day in snapshots(case.judging)}
    immature = [f"the labels of {day} are not mature before {then}" for day, then in mature_on.items() if then > today]
    not_passed = [str(checked) for checked in case.checks if checked.status != "passed"]
    faults = [*not_passed, *immature] if case.checks else ["no check was found", *immature]
    shown = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
    green = f"{len(case.checks)} checks of {len({checked.table for checked in case.checks})} tables have passed"
    mature = (
        f"the labels of {', '.join(mature_on)} are mature"
        if mature_on
        else "data without time, whose labels are as they come"
    )
    if not isinstance(case.unknown_labels, str):
        raise InputError(
            "nothing says whether the judging labels are those of treated customers; expected a sentence, or an empty one"
        )
    if not faults and case.unknown_labels:
        return RuleResult(
            False,
            f"no decision: customers were treated, and what is measured on the judging rows is not known; {case.unknown_labels}",
            "judging labels in whose windows nobody was treated, or treatments with the propensities by which some were held out "
            "(docs/treatments.md)",
            undecided=True,
        )
    return RuleResult(
        not faults,
        f"not proven to be made of right data: {shown}" if faults else f"{green}; {mature}",
        "each blocking check of the tables that the candidate was made of has passed when it was last evaluated, and "
        f"each judging label is mature by the clock ({today}; label.horizon_days and label.grace_days); make the table named again",
        numbers={
            "checks": len(case.checks),
            "not_passed": len(not_passed),
            "judging_snapshots": len(mature_on),
            "not_mature": len(immature),
        },
    )


def judging_rows_are_later(case: Evidence) -> RuleResult:
    """No model was trained on a label that reaches into the judging rows.

    In data without time the champion must have held out the same customers, else it was trained on the present judging rows. A few rows may
    have moved since to the role of an equal row. They favour the champion, and their number is reported.
    """
    has_time = "snapshot_s" in case.judging.columns
    if not 0 <= case.known_to_champion <= case.judging.height:
        raise InputError(
            f"the champion is said to be trained on {case.known_to_champion} of {case.judging.height} judging rows; expected 0 to as many"
        )
    if case.champion is not None and hold_out_draw(str(case.champion_split)) != hold_out_draw(case.split):
        return RuleResult(
            False,
            f"judged on rows that the champion may know: split {case.split}; the champion's split {case.champion_split}",
            "the champion's split; another one judges on rows that the champion was trained on, so set training.seed and "
            "training.held_out_share back",
        )
    if not has_time and case.judging_from is None:
        moved = (
            f"; {case.known_to_champion} of {case.judging.height} judging rows trained the champion, as they had other equal rows then: "
            "that is in its favour"
            if case.known_to_champion
            else ""
        )
        return RuleResult(
            bool(case.split),
            f"split {case.split}; the data has no time, so its order can't be checked{moved}",
            "rows of customers that the candidate was not trained on, nor the champion but for rows that have an equal one",
            numbers={"known_to_champion": case.known_to_champion},
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
    training_ends = ", ".join(f"{who} until {'unknown' if until is None else day_of(until)}" for who, until in ends.items())
    return RuleResult(
        not late,
        f"{'judged on rows that a model was trained on: ' if late else ''}judging from {day_of(case.judging_from)}, trained: {training_ends}",
        "every label that a model was trained on ends before the first judging snapshot, which no setting allows otherwise; run the job retrain",
    )
