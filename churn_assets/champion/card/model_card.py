"""The model card: what a model is for, what it was made of, what it is worth, where it ends; from its manifest alone.

After Mitchell et al. (2019), "Model cards for model reporting". Belongs here: the order of a card and its sentences. Does not
belong here: which facts there must be (``required_facts``), what follows from them (``limitations``), the form (``reporting.document``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from churn_assets.champion.card.limitations import MEASURES, differences, limits, measure_in_words
from churn_assets.champion.card.required_facts import evaluation_of
from churn_assets.evaluation.baselines import BASE_RATE
from churn_assets.evaluation.plots import reliability_chart
from churn_assets.reporting.document import Bullets, Document, DocumentPart, DocumentTable, Heading, Paragraph, Picture
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Blessing, Evaluation, Manifest

MOST_WORDS = 12
"""So many words of a category are listed; of the others their number."""

MANY = 1_000
"""From here on a number is shown without a fraction."""

SHORT = 12
"""Digits of a digest that are enough for people."""

NO_SLOPE = (BASE_RATE, "calibration_slope")
"""The baseline that gives all customers the same probability: a constant has no slope, whatever number a fit ends with."""


UNALLOWED = "nobody has said why: trained on by older code, and for the last time without a reason"
"""Of a protected input without a reason."""


class Card(NamedTuple):
    """A card in both forms."""

    markdown: str
    html: str


def card_of(
    manifest: Manifest,
    former: Manifest | None,
    *,
    blessing: Blessing | None = None,
    history: Sequence[Serving] = (),
) -> Card:
    """The card of a candidate or release.

    Args:
        manifest: manifest of the model's release files.
        former: manifest of the champion that it was compared with, or took over from; None for the first.
        blessing: the newest verdict on it, where it is not in the manifest.
        history: the rows of ``releases`` that name it, in any order.

    Raises:
        InputError: names every fact that the manifest lacks.
    """
    evaluation = evaluation_of(manifest)
    verdict = blessing or manifest.blessing
    blocks: list[DocumentPart] = [
        *_about(manifest),
        *_data(manifest),
        *_worth(manifest, evaluation),
        *_kinds(evaluation),
        *_calibration(evaluation),
        *_decision(manifest, evaluation),
        *_segments(evaluation),
        *_inputs(manifest, evaluation),
        *_protected(manifest),
        *_gate(verdict),
        *_former(manifest, former, verdict),
        Heading("Limits"),
        Bullets(limits(manifest, evaluation, verdict)),
        *_history(history),
    ]
    made = Document(f"Model card: {manifest.family}, {manifest.company}", tuple(blocks))
    return Card(made.markdown(), made.html())


def _about(manifest: Manifest) -> list[DocumentPart]:
    horizon = "none: the data has no time" if manifest.horizon_days is None else f"{manifest.horizon_days} days"
    return [
        Paragraph(str(manifest.purpose)),
        _facts(
            "What it is",
            {
                "candidate": manifest.candidate,
                "made": _day(manifest.created_s),
                "family": manifest.family,
                "churn is": manifest.label,
                "horizon": horizon,
                "population": str(manifest.population),
                "MLflow": ", ".join(f"{name} {value}" for name, value in manifest.mlflow.items()) or "not logged",
                "code": f"commit {manifest.code_commit}, lock {manifest.lock_sha256[:SHORT]}",
                "model file": f"sha256 {manifest.files['model.onnx'].sha256}",
            },
        ),
    ]


def _data(manifest: Manifest) -> list[DocumentPart]:
    by_time = manifest.horizon_days is not None
    calibrated = manifest.calibrated_on if isinstance(manifest.calibrated_on, tuple) else ()
    fitted = [snapshot for snapshot in manifest.trained_on if snapshot not in calibrated]
    spans = {
        "fitted on": _span(fitted) if by_time else "customers who were not held out",
        "calibrated on": _span(calibrated) if by_time else "further customers who were not held out",
        "judged on": _span(manifest.judged_on) if by_time else "the customers who were held out",
        "rows to fit and calibrate": f"{manifest.training_rows:,}",
        "rows to judge": f"{manifest.judging_rows:,}",
        "split": manifest.split,
    }
    parameters = manifest.parameters if isinstance(manifest.parameters, dict) else {}
    return [
        Heading("Data and training"),
        _facts("Which rows", spans),
        DocumentTable(
            "The tables as they were read; the command churn data training-set makes the training set again",
            ("table", "version", "digest of its rows"),
            tuple(
                (name, str(table.version), table.digest or "not taken: not all rows were read")
                for name, table in sorted(manifest.tables.items())
            ),
        ),
        _facts("Parameters of the estimator", {name: _text(value) for name, value in sorted(parameters.items())}),
    ]


def _worth(manifest: Manifest, evaluation: Evaluation) -> list[DocumentPart]:
    names = _ordered(manifest.metrics)
    beside = list(evaluation.baselines)
    share = f"{evaluation.confidence:.0%}"
    blocks: list[DocumentPart] = [
        Heading("What it is worth"),
        DocumentTable(
            f"On {manifest.judging_rows:,} judging rows, beside the baselines on the same rows; behind a measure its {share} interval, "
            "whole customers drawn",
            ("measure", "this model", *(name.replace("_", " ") for name in beside)),
            tuple(
                (
                    measure_in_words(name),
                    _with_interval(name, manifest.metrics[name], evaluation),
                    *(
                        "" if (other, name) == NO_SLOPE else _number(evaluation.baselines[other].get(name))
                        for other in beside
                    ),
                )
                for name in names
            ),
        ),
    ]
    if evaluation.by_snapshot:
        at_each = [name for name in names if all(name in found for found in evaluation.by_snapshot.values())]
        blocks.append(
            DocumentTable(
                "At each judging snapshot",
                ("measure", *sorted(evaluation.by_snapshot)),
                tuple(
                    (
                        measure_in_words(name),
                        *(_number(evaluation.by_snapshot[snapshot][name]) for snapshot in sorted(evaluation.by_snapshot)),
                    )
                    for name in at_each
                ),
            )
        )
    return blocks


def _kinds(evaluation: Evaluation) -> list[DocumentPart]:
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
                    f"{found.churners:,}",
                    _number(found.auc) or "none",
                    _number(found.recall) or "none",
                )
                for kind, found in evaluation.kinds.items()
            ),
        ),
    ]


def _calibration(evaluation: Evaluation) -> list[DocumentPart]:
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
                    str(place),
                    f"{part.rows:,}",
                    f"{part.predicted:.4f}",
                    f"{part.observed:.4f}",
                    f"{part.observed - part.predicted:+.4f}",
                )
                for place, part in enumerate(bins, start=1)
            ),
        ),
    ]


def _decision(manifest: Manifest, evaluation: Evaluation) -> list[DocumentPart]:
    terms = evaluation.profit
    return [
        Heading("Decision and money"),
        _facts(
            "A customer whose probability is at or above the threshold is called a churner; profit is in the company's currency",
            {
                "threshold": f"{manifest.threshold:.6g}",
                "value of a churner who stays": _number(terms.customer_value),
                "cost of the offer": _number(terms.offer_cost),
                "cost of asking": _number(terms.contact_cost),
                "churners who take the offer and stay": f"Beta({terms.acceptance_alpha:g}, {terms.acceptance_beta:g}), mean "
                f"{terms.acceptance_alpha / (terms.acceptance_alpha + terms.acceptance_beta):.0%}",
            },
        ),
    ]


def _segments(evaluation: Evaluation) -> list[DocumentPart]:
    if not evaluation.segments:
        return [Heading("Segments"), Paragraph("No segment had enough rows to be judged by itself.")]
    return [
        Heading("Segments"),
        DocumentTable(
            "Customers by the words of a category; the calibration is the mean probability less the rate of churn, the threshold the "
            "most profitable one for the segment alone",
            ("segment", "rows", "rate of churn", "ROC AUC", "calibration", "profit per customer", "threshold"),
            tuple(
                (
                    f"{part.column}: {part.word or 'missing'}",
                    f"{part.rows:,}",
                    f"{part.base_rate:.3f}",
                    "one class" if part.auc is None else f"{part.auc:.3f}",
                    f"{part.calibration:+.4f}",
                    f"{part.profit.value:.3f} ({part.profit.low:.3f} to {part.profit.high:.3f})",
                    f"{part.threshold:.4g}",
                )
                for part in evaluation.segments
            ),
        ),
    ]


def _inputs(manifest: Manifest, evaluation: Evaluation) -> list[DocumentPart]:
    return [
        Heading("Inputs"),
        DocumentTable(
            "What the model looks at; the importance is by how much the AUC falls when the input is shuffled",
            ("input", "what it is", "unit", "allowed", "may be missing", "importance"),
            tuple(
                (
                    column.name,
                    column.description or "no description",
                    column.unit or "none",
                    _words(column.categories) if column.kind == "category" else _range(column.low, column.high),
                    "yes" if column.nullable else "no",
                    _number(evaluation.importance.get(column.name)),
                )
                for column in manifest.signature.columns
            ),
        ),
    ]


def _protected(manifest: Manifest) -> list[DocumentPart]:
    if not isinstance(manifest.protected, dict):
        return []
    return [
        Heading("Protected attributes"),
        DocumentTable(
            "Inputs that the law of most countries protects, or that somebody was asked about; why they may be used, and who says so",
            ("input", "why, by whom"),
            tuple((name, reason or UNALLOWED) for name, reason in sorted(manifest.protected.items())),
        ),
    ]


def _gate(verdict: Blessing | None) -> list[DocumentPart]:
    if verdict is None:
        return [Heading("The gate"), Paragraph("The gate has not judged it yet.")]
    gained = (
        "" if verdict.gain is None else f" Profit per customer above the champion's on the same rows: {verdict.gain:+.4f}."
    )
    why = f" Reason: {verdict.reason}." if verdict.reason else ""
    return [
        Heading("The gate"),
        Paragraph(f"Verdict: {verdict.verdict}, by {verdict.actor}, {_day(verdict.decided_s)}.{gained}{why}"),
        DocumentTable(
            "Every rule",
            ("rule", "verdict", "found", "allowed"),
            tuple(
                (
                    rule.name,
                    "undecided" if rule.undecided else "passed" if rule.passed else "failed",
                    rule.found,
                    rule.allowed,
                )
                for rule in verdict.rules
            ),
        ),
    ]


def _former(manifest: Manifest, former: Manifest | None, verdict: Blessing | None) -> list[DocumentPart]:
    heading = Heading("Differences to the former champion")
    if former is None:
        return [heading, Paragraph("There was no champion before.")]
    compared = verdict is not None and verdict.gain is not None
    return [
        heading,
        Paragraph(
            f"The former champion is candidate {former.candidate}. Each was measured on its own judging rows"
            + ("; the gate compares the two on the same ones." if compared else ".")
        ),
        DocumentTable("What differs", ("what", "former", "this model"), differences(manifest, former)),
    ]


def _history(history: Sequence[Serving]) -> list[DocumentPart]:
    heading = Heading("History")
    if not history:
        return [heading, Paragraph("It has not served.")]
    return [
        heading,
        DocumentTable(
            "The releases that name it",
            ("epoch", "when", "what", "who", "why"),
            tuple(
                (str(row.epoch), _day(row.published_s), row.kind.replace("_", " "), row.actor, row.reason)
                for row in sorted(history, key=lambda row: row.epoch)
            ),
        ),
    ]


def _facts(caption: str, facts: Mapping[str, str]) -> DocumentTable:
    return DocumentTable(caption, ("what", "value"), tuple(facts.items()))


def _ordered(metrics: Mapping[str, float]) -> list[str]:
    return [*(name for name in MEASURES if name in metrics), *sorted(set(metrics) - set(MEASURES))]


def _with_interval(name: str, value: float, evaluation: Evaluation) -> str:
    interval = evaluation.intervals.get(name)
    return _number(value) + ("" if interval is None else f" ({_number(interval.low)} to {_number(interval.high)})")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    is_count = float(value).is_integer() and abs(value) >= 1
    return f"{value:,.0f}" if is_count or abs(value) >= MANY else f"{value:.4g}"


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any number"
    return f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"


def _words(words: Sequence[str]) -> str:
    said = [word for word in words if word]
    more = f" and {len(said) - MOST_WORDS} more" if len(said) > MOST_WORDS else ""
    return ", ".join(said[:MOST_WORDS]) + more or "no word was seen"


def _span(snapshots: Sequence[str]) -> str:
    if not snapshots:
        return "none"
    number = f"{len(snapshots)} snapshot{'s' if len(snapshots) > 1 else ''}"
    return f"{snapshots[0]}, {number}" if len(snapshots) == 1 else f"{snapshots[0]} to {snapshots[-1]}, {number}"


def _day(second: int) -> str:
    return f"{datetime.fromtimestamp(second, tz=UTC):%Y-%m-%d %H:%M} UTC"
