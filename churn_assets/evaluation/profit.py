"""The profit of making a retention offer to the customers whom a model calls churners.

Contacting a customer costs ``contact_cost``. A churner takes the offer and stays with probability ``acceptance``, which
brings ``customer_value`` less ``offer_cost``. A customer who would have stayed anyway takes the offer, which costs ``offer_cost``. This is the profit of Verbraken, Verbeke and Baesens (2013, "A novel profit maximizing metric for measuring
classification performance of customer churn prediction models", IEEE TKDE 25(5), section 3), whose expected maximum over the
acceptance is computed by empulse.
"""

import numpy as np
import scipy

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.settings.profit import Profit


def worth(profit: Profit) -> tuple[float, float]:
    """The expected profit of contacting a churner, and of contacting a customer who stays anyway (negative)."""
    kept = profit.acceptance * (profit.customer_value - profit.offer_cost) - profit.contact_cost
    return kept, -(profit.offer_cost + profit.contact_cost)


def largest_difference(profit: Profit) -> float:
    """The greatest change of a row's profit by the decision whether to contact the customer."""
    kept, wasted = worth(profit)
    return max(kept, -wasted)


def profit_by_row(churned: Labels, called: Labels, profit: Profit) -> Scores:
    """The expected profit of each row, in the company's currency.

    Args:
        churned: label of each row.
        called: whether each row's customer is contacted.
        profit: costs and values.

    Returns:
        The profit of each row; 0 if the customer is not contacted.
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
    """The expected maximum profit per customer of weighted rows, which empulse does not support; equal to it for weights of 1.

    The optimal thresholds lie on the convex hull of the ROC curve, whose edges are the blocks of an isotonic regression of churn on
    rank (Fawcett and Niculescu-Mizil 2007, "PAV and the ROC convex hull", Machine Learning 68). Contacting a block pays if the acceptance
    exceeds a bound, which falls as the block's churn rate rises. So each block contributes the expected positive part of its profit.

    Args:
        churners: weight of the churners at each score, from the highest down.
        stayers: weight of the customers who stayed at each score, from the highest down.
        profit: costs, values and the distribution of the acceptance.
    """
    sizes = churners + stayers
    occupied = sizes > 0
    blocks = scipy.optimize.isotonic_regression(
        churners[occupied] / sizes[occupied], weights=sizes[occupied], increasing=False
    )
    rates, weights = blocks.x[blocks.blocks[:-1]], blocks.weights
    has_churners = rates > 0
    churning, staying = (weights * rates)[has_churners], (weights * (1 - rates))[has_churners]
    gain, wasted = profit.customer_value - profit.offer_cost, profit.offer_cost + profit.contact_cost
    pays_from = (profit.contact_cost + staying / churning * wasted) / gain
    alpha, beta = profit.acceptance_alpha, profit.acceptance_beta
    at = np.minimum(pays_from, 1.0)
    likely, mean_above = (
        1 - scipy.special.betainc(alpha, beta, at),
        profit.acceptance * (1 - scipy.special.betainc(alpha + 1, beta, at)),
    )
    profits = churning * (gain * mean_above - profit.contact_cost * likely) - staying * wasted * likely
    return float(profits.sum() / sizes.sum())


def profit_curve(churned: Labels, scores: Scores, profit: Profit) -> tuple[Scores, Scores]:
    """The profit per customer at every threshold that makes a difference.

    Customers with equal scores are contacted together or not at all, so each threshold occurs once, whatever the order of the rows.

    Args:
        churned: label of each row.
        scores: probability of each row.
        profit: costs and values.

    Returns:
        The thresholds from the highest down, and the profit per customer of contacting everybody at or above each.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    cumulated = np.cumsum(profit_by_row(churned[order], np.ones(len(order), dtype=bool), profit)) / len(order)
    last_of_equal = np.append(ranked[1:] != ranked[:-1], True)
    return ranked[last_of_equal], cumulated[last_of_equal]


def most_profitable_threshold(churned: Labels, scores: Scores, profit: Profit) -> float:
    """The threshold with the greatest profit, midway between two neighbouring scores, so that rounding can't flip a decision.

    If contacting nobody is best, it lies above every score. Of thresholds with equal profits it is the highest, by which the fewest
    customers are contacted.

    Args:
        churned: label of each row.
        scores: probability of each row.
        profit: costs and values.
    """
    thresholds, profits = profit_curve(churned, scores, profit)
    best = int(np.argmax(profits))
    if profits[best] <= 0:
        return float((thresholds[0] + 1.0) / 2) if thresholds[0] < 1.0 else float(np.nextafter(1.0, 2.0))
    below = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    return float((thresholds[best] + below) / 2)
