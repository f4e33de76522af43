"""How much each customer of a snapshot counts, where some were treated in the window of the label.

Whoever was treated shows what happens under the offer, not what the model predicts. Leaving the treated out alone removes the customers at
the greatest risk, so those held out stand for them: a customer who was treated with probability e, and was not, counts 1 / (1 - e) times
(Horvitz and Thompson 1952). Over several treatments the chances of staying untreated are multiplied.

Belongs here: which treatments touch a label, the weights, and whether they can be known. Does not belong here: where treatments come from
(``records``), and what is measured under the weights (``evaluation``).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

CARRIES_OVER: Final = 4
"""A treatment up to a quarter of the horizon before the snapshot touches its label: by then it has neither had its effect nor shown in the
features. A quarter is a convention; an earlier treatment is part of the history that the features describe."""

UNKNOWN_SHARE: Final = 0.01
"""Greatest share of the treatments whose customers no table knows: above it, ids of another system are the likely cause."""

DEVIATIONS: Final = 5.0
"""Standard deviations by which the number held out may differ from what the propensities say; by chance it does once in two million lists."""

State = Literal["untreated", "weighted", "unknown"]
"""Nobody was treated; the weights make up for who was; or they can't be known."""


@dataclass(frozen=True)
class TreatmentWeights:
    """The customers of a snapshot with their weights.

    Attributes:
        rows: in the order of the customers: ``customer_id``, ``left_out`` (treated), ``weight`` (0 for who is left out; null where it can't be known).
        state: whether the rows that are left can be judged; ``unknown`` says that they can't.
        reason: the state in a sentence.
        treated: number of customers who are left out.
        held_out: number of customers who were listed and not treated.
        unmatched: number of treatments of customers whom no table knows.
        effective_rows: number of equally weighted rows with the same information (Kish 1965, section 11.7); ``None`` where it can't be known.
    """

    rows: pl.DataFrame
    state: State
    reason: str
    treated: int
    held_out: int
    unmatched: int
    effective_rows: float | None


def touching(snapshot_s: int, horizon_s: int) -> tuple[int, int]:
    """The stretch in which a treatment touches the label of a snapshot: beginning, and end, which does not belong to it; epoch seconds."""
    return snapshot_s - horizon_s // CARRIES_OVER, snapshot_s + horizon_s


def kish(weights: "np.typing.NDArray[np.float64]") -> float:
    """The number of equally weighted rows that would be as precise as these: (sum w)^2 / sum w^2."""
    total, squares = float(weights.sum()), float(np.square(weights).sum())
    return total * total / squares if squares else 0.0


def treatment_weights(
    customers: pl.Series,
    treatments: pl.DataFrame,
    *,
    snapshot_s: int,
    horizon_s: int,
    everyone: pl.Series | None = None,
    set_aside: int = 0,
) -> TreatmentWeights:
    """The weight of each customer of a snapshot.

    Args:
        customers: ids of the customers at risk at the snapshot, each once.
        treatments: ``customer_id``, ``assigned_s`` (epoch seconds), ``treated``, ``propensity``; one row for each time that chance decided.
        snapshot_s: time T of the snapshot, in epoch seconds.
        horizon_s: length of the label's window, in seconds.
        everyone: ids of all customers that a table knows, by which unknown ones are found; default: they are not looked for.
        set_aside: number of treatments that are known to be missing, as they could not be read.
    """
    start_s, end_s = touching(snapshot_s, horizon_s)
    listed = treatments.filter(pl.col("assigned_s").is_between(start_s, end_s, closed="left"))
    unmatched = 0 if everyone is None else listed.filter(~pl.col("customer_id").is_in(everyone.implode())).height
    ours = listed.filter(pl.col("customer_id").is_in(customers.implode()))
    fault = _unmatched(unmatched, listed.height) or _set_aside(set_aside, listed.height) or _unjudged(ours)
    by_customer = ours.group_by("customer_id").agg(
        left_out=pl.col("treated").any(),
        weight=pl.when(_is_known(treated=False).all()).then((1 / (1 - pl.col("propensity"))).product()),
        listed=pl.lit(value=True),
    )
    joined = customers.to_frame("customer_id").join(by_customer, on="customer_id", how="left", maintain_order="left")
    is_left_out = pl.col("left_out").fill_null(value=False)
    weight = pl.when(is_left_out).then(0.0).when(pl.col("listed").is_null()).then(1.0).otherwise("weight")
    rows = joined.select("customer_id", left_out=is_left_out, weight=weight)
    treated, held_out = int(rows["left_out"].sum()), by_customer.height - int(by_customer["left_out"].sum())
    effective = None if fault or rows["weight"].null_count() else kish(rows["weight"].to_numpy())
    state: State = "unknown" if fault else "weighted" if ours.height else "untreated"
    return TreatmentWeights(
        rows, state, fault or _sentence(treated, held_out, unmatched, effective), treated, held_out, unmatched, effective
    )


def _is_known(*, treated: bool) -> pl.Expr:
    """Whether a propensity is a probability by which a customer can have been treated, or held out."""
    e = pl.col("propensity")
    return (e.is_not_null() & e.is_not_nan() & (e > 0) & ((e <= 1) if treated else (e < 1))).fill_null(value=False)


def _unmatched(unmatched: int, listed: int) -> str:
    if unmatched <= UNKNOWN_SHARE * listed:
        return ""
    return (
        f"{unmatched} of {listed} treatments are of customers whom no table knows; expected the ids of the company's tables. Who was treated "
        "can't be told: send the treatments with the ids of your `customers`, or give `ids` of `source.treatments` the same rule"
    )


def _set_aside(set_aside: int, listed: int) -> str:
    if not listed or set_aside <= UNKNOWN_SHARE * listed:
        return ""
    return (
        f"{set_aside} treatments could not be read and are in quarantine, beside {listed} that are right; whoever they are about would count as "
        "untreated. Mend them in the company's table"
    )


def _unjudged(ours: pl.DataFrame) -> str:
    """Why the customers who were not treated can't stand for those who were; empty if they can."""
    treated, held_out = ours.filter("treated"), ours.filter(~pl.col("treated"))
    e = pl.col("propensity")
    if missing := treated["propensity"].null_count() + held_out["propensity"].null_count():
        return (
            f"the propensity of {missing} of {ours.height} treatments is not known, so nobody can tell for how many the others stand; "
            "expected the probability with which each customer on the list would be treated"
        )
    wrong = ours.filter(e.is_nan() | (e <= 0) | (e > 1) | (~pl.col("treated") & (e >= 1))).height
    if wrong:
        return (
            f"{wrong} of {ours.height} treatments have a propensity that can't be: expected a number above 0 and at most 1, and below 1 for "
            "who was held out; who could not be treated is not on the list"
        )
    if certain := treated.filter(e == 1).height:
        return f"{certain} of {treated.height} treated customers were treated for certain, so nobody stands for them; hold some out by chance"
    if treated.height and not held_out.height:
        return f"{treated.height} customers were treated and nobody was held out, so nobody stands for them; hold some out by chance"
    expected = float(ours.select((1 - e).sum()).item() or 0.0)
    spread = math.sqrt(float(ours.select((e * (1 - e)).sum()).item() or 0.0))
    if abs(held_out.height - expected) > DEVIATIONS * spread:
        return (
            f"{held_out.height} of {ours.height} on the list were held out, and by their propensities it should be about {expected:.0f}; "
            "expected all that were on the list, each with the probability by which it was drawn. Send those that are missing"
        )
    return ""


def _sentence(treated: int, held_out: int, unmatched: int, effective: float | None) -> str:
    if not treated and not held_out:
        return "nobody was treated in the label's window"
    strangers = f"; {unmatched} treatments are of customers whom no table knows" if unmatched else ""
    return (
        f"{treated} treated customers are left out, and the {held_out} held out stand for them; the rest weighs as much as "
        f"{effective or 0:.0f} equal rows{strangers}"
    )
