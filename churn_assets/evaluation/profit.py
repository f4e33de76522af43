"""What a model is worth in money: the profit of offering something to those whom it calls churners.

A customer who is asked costs ``contact_cost``. A churner takes the offer and stays with probability ``acceptance``, which
brings ``customer_value`` less ``offer_cost``; a customer who would have stayed takes the offer for nothing, which costs
``offer_cost``. This is the profit of Verbraken, Verbeke and Baesens (2013, "A novel profit maximizing metric for measuring
classification performance of customer churn prediction models", IEEE TKDE 25(5), section 3), whose expected maximum over the
acceptance is computed by empulse.
"""

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.settings.company import Profit


def worth(profit: Profit) -> tuple[float, float]:
    """What asking a churner brings on the mean, and what asking a customer who stays anyway brings (less than nothing)."""
    kept = profit.acceptance * (profit.customer_value - profit.offer_cost) - profit.contact_cost
    return kept, -(profit.offer_cost + profit.contact_cost)


def largest_difference(profit: Profit) -> float:
    """By how much one row's profit can change when a customer is asked or no longer asked."""
    kept, wasted = worth(profit)
    return max(kept, -wasted)


def profit_by_row(churned: Labels, called: Labels, profit: Profit) -> Scores:
    """The expected profit of each row, in the company's currency.

    Args:
        churned: true labels.
        called: whether the customer is asked.
        profit: costs and values.

    Returns:
        One number a row; 0 where nobody is asked.
    """
    kept, wasted = worth(profit)
    return np.where(called, np.where(churned, kept, wasted), 0.0)


def expected_maximum_profit(churned: Labels, scores: Scores, profit: Profit) -> float:
    """The expected maximum profit per customer (EMPC), with the acceptance drawn from its distribution."""
    from empulse.metrics import empc_score  # noqa: PLC0415 - two seconds of import that only measuring pays

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


def weighted_expected_maximum_profit(churners: Scores, stayers: Scores, profit: Profit) -> float:
    """The expected maximum profit per customer of weighted rows, which empulse does not take; the same with weights of 1.

    The scores that pay are found on the convex hull of the ROC curve, whose edges are the blocks of an isotonic regression of churn
    on rank (Fawcett and Niculescu-Mizil 2007, "PAV and the ROC convex hull", Machine Learning 68). Asking a block with a rate
    of churn ``p`` pays from an acceptance on that falls as ``p`` rises, so each block brings its own expected positive part.

    Args:
        churners: weight of those who churned at each score, from the highest score down.
        stayers: likewise, of those who stayed.
        profit: costs, values and the distribution of the acceptance.
    """
    sizes = churners + stayers
    there = sizes > 0
    blocks = isotonic_regression(churners[there] / sizes[there], weights=sizes[there], increasing=False)
    rates, weights = blocks.x[blocks.blocks[:-1]], blocks.weights
    some = rates > 0
    churning, staying = (weights * rates)[some], (weights * (1 - rates))[some]
    gain, wasted = profit.customer_value - profit.offer_cost, profit.offer_cost + profit.contact_cost
    pays_from = (profit.contact_cost + staying / churning * wasted) / gain
    alpha, beta = profit.acceptance_alpha, profit.acceptance_beta
    at = np.minimum(pays_from, 1.0)
    likely, mean_above = 1 - betainc(alpha, beta, at), profit.acceptance * (1 - betainc(alpha + 1, beta, at))
    brings = churning * (gain * mean_above - profit.contact_cost * likely) - staying * wasted * likely
    return float(brings.sum() / sizes.sum())


def profit_curve(churned: Labels, scores: Scores, profit: Profit) -> tuple[Scores, Scores]:
    """The profit per customer at every threshold that makes a difference.

    Rows with equal scores are asked together or not at all, so a threshold stands once, whatever the order of such rows.

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

    Where asking nobody is best, it lies above every score. Of thresholds with equal profits it is the highest: the fewest
    customers are asked. Rows with equal scores are never parted.
    """
    thresholds, profits = profit_curve(churned, scores, profit)
    best = int(np.argmax(profits))
    if profits[best] <= 0:
        return float((thresholds[0] + 1.0) / 2) if thresholds[0] < 1.0 else float(np.nextafter(1.0, 2.0))
    below = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    return float((thresholds[best] + below) / 2)
