"""What a model is worth in money: the profit of offering something to those whom it calls churners.

A customer who is asked costs ``contact_cost``. A churner takes the offer and stays with probability ``acceptance``, which
brings ``customer_value`` less ``offer_cost``; a customer who would have stayed takes the offer for nothing, which costs
``offer_cost``. This is the profit of Verbraken, Verbeke and Baesens (2013, "A novel profit maximizing metric for measuring
classification performance of customer churn prediction models", IEEE TKDE 25(5), section 3), whose expected maximum over the
acceptance is computed by empulse.
"""

import numpy as np
from empulse.metrics import empc_score

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.settings import Profit


def profit_by_row(churned: Labels, called: Labels, profit: Profit) -> Scores:
    """The expected profit of each row, in the company's currency.

    Args:
        churned: true labels.
        called: whether the customer is asked.
        profit: costs and values.

    Returns:
        One number a row; 0 where nobody is asked.
    """
    kept = profit.acceptance * (profit.customer_value - profit.offer_cost) - profit.contact_cost
    wasted = -(profit.offer_cost + profit.contact_cost)
    return np.where(called, np.where(churned, kept, wasted), 0.0)


def expected_maximum_profit(churned: Labels, scores: Scores, profit: Profit) -> float:
    """The expected maximum profit per customer (EMPC), with the acceptance drawn from its distribution."""
    return float(
        empc_score(
            churned.astype(int),
            scores,
            alpha=profit.acceptance_alpha,
            beta=profit.acceptance_beta,
            clv=profit.customer_value,
            incentive_cost=profit.offer_cost,
            contact_cost=profit.contact_cost,
        )
    )


def profit_curve(churned: Labels, scores: Scores, profit: Profit) -> tuple[Scores, Scores]:
    """The profit per customer at every threshold that makes a difference.

    Returns:
        The thresholds from the highest score down, and the profit per customer of asking all whose score is at or above each.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    cumulated = np.cumsum(profit_by_row(churned[order], np.ones(len(order), dtype=bool), profit)) / len(order)
    last_of_equal = np.append(ranked[1:] != ranked[:-1], True)
    return ranked[last_of_equal], cumulated[last_of_equal]


def most_profitable_threshold(churned: Labels, scores: Scores, profit: Profit) -> float:
    """The threshold with the greatest profit, midway between two neighbouring scores, so that rounding can't flip a decision.

    Where asking nobody is best, it lies above every score.
    """
    thresholds, profits = profit_curve(churned, scores, profit)
    best = int(np.argmax(profits))
    if profits[best] <= 0:
        return float((thresholds[0] + 1.0) / 2) if thresholds[0] < 1.0 else float(np.nextafter(1.0, 2.0))
    below = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    return float((thresholds[best] + below) / 2)
