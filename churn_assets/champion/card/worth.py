"""The parts of a model card on quality: measures, calibration, profit, segments and importance of inputs.

Does not belong here: the other parts of a card and their order (``model_card``).
"""

from collections.abc import Mapping

from churn_assets.champion.card.limitations import MEASURES, measure_in_words
from churn_assets.evaluation.baselines import BASE_RATE
from churn_assets.evaluation.plots import reliability_chart
from churn_assets.reporting.basis import Basis, basis_of
from churn_assets.reporting.document import DocumentPart, DocumentTable, Heading, Paragraph, Picture
from churn_store.releases.manifest import Evaluation, Manifest

MANY = 1_000
"""Least number that is shown without decimals."""

NO_SLOPE = (BASE_RATE, "calibration_slope")
"""A baseline and a measure without meaning: a constant probability has no calibration slope, whatever number a fit ends with."""


def worth(manifest: Manifest, evaluation: Evaluation) -> list[DocumentPart]:
    """The measures, compared with those of the baselines, and at each snapshot."""
    names = _ordered(manifest.metrics)
    baselines = list(evaluation.baselines)
    share = f"{evaluation.confidence:.0%}"
    blocks: list[DocumentPart] = [
        Heading("What it is worth"),
        DocumentTable(
            f"On {manifest.judging_rows:,} judging rows, beside the baselines on the same rows; behind a measure its {share} interval, "
            "a customer's rows counted together",
            ("measure", "this model", *(name.replace("_", " ") for name in baselines)),
            tuple(
                (
                    measure_in_words(name),
                    _with_interval(name, manifest.metrics[name], evaluation),
                    *(
                        "" if (other, name) == NO_SLOPE else number(evaluation.baselines[other].get(name))
                        for other in baselines
                    ),
                )
                for name in names
            ),
            tuple(basis_of(name) for name in names),
        ),
    ]
    if evaluation.by_snapshot:
        at_each = [name for name in names if all(name in measures for measures in evaluation.by_snapshot.values())]
        blocks.append(
            DocumentTable(
                "At each judging snapshot",
                ("measure", *sorted(evaluation.by_snapshot)),
                tuple(
                    (
                        measure_in_words(name),
                        *(number(evaluation.by_snapshot[snapshot][name]) for snapshot in sorted(evaluation.by_snapshot)),
                    )
                    for name in at_each
                ),
                tuple(basis_of(name) for name in at_each),
            )
        )
    return blocks


def kinds(evaluation: Evaluation) -> list[DocumentPart]:
    """Quality by the kind of churn, if the labels have kinds."""
    if not isinstance(evaluation.kinds, dict):
        return []
    return [
        Heading("Kinds of churn"),
        DocumentTable(
            "All churners are modelled together; here those of each kind are beside everybody who stayed. The recall is the share of them "
            "at or above the threshold",
            ("kind", "churners", "ROC AUC", "recall"),
            tuple(
                (
                    kind.replace("_", " "),
                    f"{quality.churners:,}",
                    number(quality.auc) or "none",
                    number(quality.recall) or "none",
                )
                for kind, quality in evaluation.kinds.items()
            ),
            (Basis.MEASURED,),
        ),
    ]


def calibration(evaluation: Evaluation) -> list[DocumentPart]:
    """The churn rate of rows by their predicted probability."""
    bins = evaluation.reliability
    return [
        Heading("Calibration"),
        Picture(
            reliability_chart(bins),
            "Rows of neighbouring probabilities: on the dashed line they churn as often as the model says.",
        ),
        DocumentTable(
            "Rows of neighbouring probabilities",
            ("part", "rows", "mean probability", "rate of churn", "rate less probability"),
            tuple(
                (
                    str(position),
                    f"{part.rows:,}",
                    f"{part.predicted:.4f}",
                    f"{part.observed:.4f}",
                    f"{part.observed - part.predicted:+.4f}",
                )
                for position, part in enumerate(bins, start=1)
            ),
            (Basis.MEASURED,),
        ),
    ]


def decision(manifest: Manifest, evaluation: Evaluation) -> list[DocumentPart]:
    """The threshold, and the costs and values that it was chosen for."""
    terms = evaluation.profit
    facts = {
        "threshold": f"{manifest.threshold:.6g}",
        "value of a churner who stays": number(terms.customer_value),
        "cost of the offer": number(terms.offer_cost),
        "cost of asking": number(terms.contact_cost),
        "churners who take the offer and stay": f"Beta({terms.acceptance_alpha:g}, {terms.acceptance_beta:g}), mean {terms.acceptance:.0%}",
    }
    return [
        Heading("Decision and money"),
        DocumentTable(
            "A customer whose probability is at or above the threshold is called a churner; profit is in the company's currency",
            ("what", "value"),
            tuple(facts.items()),
            (Basis.PRICED, *[Basis.ASSUMED] * (len(facts) - 1)),
        ),
    ]


def segments(evaluation: Evaluation) -> list[DocumentPart]:
    """Quality and profit of each segment."""
    if not evaluation.segments:
        return [Heading("Segments"), Paragraph("No segment had enough rows to be judged by itself.")]
    names = [f"{part.column}: {part.word or 'missing'}" for part in evaluation.segments]
    return [
        Heading("Segments"),
        DocumentTable(
            "Customers by the words of a category; the calibration is the mean probability less the rate of churn",
            ("segment", "rows", "rate of churn", "ROC AUC", "calibration"),
            tuple(
                (
                    name,
                    f"{part.rows:,}",
                    f"{part.base_rate:.3f}",
                    "one class" if part.auc is None else f"{part.auc:.3f}",
                    f"{part.calibration:+.4f}",
                )
                for name, part in zip(names, evaluation.segments, strict=True)
            ),
            (Basis.MEASURED,),
        ),
        DocumentTable(
            "What they bring at the model's threshold, and the most profitable threshold for the segment alone",
            ("segment", "profit per customer", "threshold"),
            tuple(
                (
                    name,
                    f"{part.profit.value:.3f} ({part.profit.low:.3f} to {part.profit.high:.3f})",
                    f"{part.threshold:.4g}",
                )
                for name, part in zip(names, evaluation.segments, strict=True)
            ),
            (Basis.PRICED,),
        ),
    ]


def importance(evaluation: Evaluation) -> list[DocumentPart]:
    """The permutation importance of the inputs, the most important first."""
    ranked = sorted(evaluation.importance.items(), key=lambda item: -item[1])
    return [
        DocumentTable(
            "Importance: by how much the AUC falls when the input is shuffled",
            ("input", "importance"),
            tuple((name, number(fall)) for name, fall in ranked),
            (Basis.MEASURED,),
        )
    ]


def _ordered(metrics: Mapping[str, float]) -> list[str]:
    return [*(name for name in MEASURES if name in metrics), *sorted(set(metrics) - set(MEASURES))]


def _with_interval(name: str, value: float, evaluation: Evaluation) -> str:
    interval = evaluation.intervals.get(name)
    return number(value) + ("" if interval is None else f" ({number(interval.low)} to {number(interval.high)})")


def number(value: float | None) -> str:
    """A number as a card shows it; an empty text for `None`."""
    if value is None:
        return ""
    is_count = float(value).is_integer() and abs(value) >= 1
    return f"{value:,.0f}" if is_count or abs(value) >= MANY else f"{value:.4g}"
