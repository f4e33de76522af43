"""The model card: purpose, data, quality and limitations of a model, from its manifest alone.

After Mitchell et al. (2019), "Model cards for model reporting". Belongs here: the order of a card and its sentences. Does not
belong here: the required facts (``required_facts``), the limitations (``limitations``), the format (``reporting.document``).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from churn_assets.champion.card.limitations import differences, limits
from churn_assets.champion.card.reasons import reasons
from churn_assets.champion.card.required_facts import evaluation_of
from churn_assets.champion.card.worth import calibration, decision, importance, kinds, segments, worth
from churn_assets.champion.gate.bases import basis_of_rule
from churn_assets.reporting.basis import Basis, basis_of, legend
from churn_assets.reporting.document import Bullets, Document, DocumentPart, DocumentTable, Heading, Paragraph
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Blessing, Manifest

MOST_WORDS = 12
"""Greatest number of listed words of a category; the others are counted."""

SHORT = 12
"""Number of a digest's digits that people are shown."""


UNALLOWED = "nobody has said why: trained on by older code, and for the last time without a reason"
"""Text for a protected input without a reason."""


class Card(NamedTuple):
    """A card as Markdown and as HTML."""

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
        former: manifest of the champion that it was compared with or replaced; `None` for the first.
        blessing: newest verdict on it, if the manifest has none.
        history: rows of ``releases`` that name it, in any order.

    Raises:
        InputError: the manifest lacks facts; the message names them.
    """
    document = document_of(manifest, former, verdict=blessing or manifest.blessing, history=history)
    return Card(document.markdown(), document.html())


def document_of(
    manifest: Manifest, former: Manifest | None, *, verdict: Blessing | None, history: Sequence[Serving] = ()
) -> Document:
    """The card as a document, whose tables name the kind of evidence of each figure.

    Args:
        manifest: manifest of the model's release files.
        former: manifest of the former champion; `None` for the first.
        verdict: newest verdict on it.
        history: rows of ``releases`` that name it, in any order.

    Raises:
        InputError: the manifest lacks facts; the message names them.
    """
    evaluation = evaluation_of(manifest)
    about = _about(manifest)
    blocks: list[list[DocumentPart]] = [
        _data(manifest),
        worth(manifest, evaluation),
        kinds(evaluation),
        calibration(evaluation),
        decision(manifest, evaluation),
        segments(evaluation),
        [*_inputs(manifest), *importance(evaluation)],
        reasons(manifest),
        _protected(manifest),
        _gate(verdict),
        _former(manifest, former, verdict),
        [Heading("Limits"), Bullets(limits(manifest, evaluation, verdict))],
        _history(history),
    ]
    parts = [part for block in blocks for part in block]
    return Document(f"Model card: {manifest.family}, {manifest.company}", (*about, *_evidence([*about, *parts]), *parts))


def _evidence(parts: Sequence[DocumentPart]) -> list[DocumentPart]:
    """The meaning of the words for the kinds of evidence on this card."""
    used = [basis for part in parts if isinstance(part, DocumentTable) for basis in part.bases]
    return [
        Heading("Evidence"),
        DocumentTable("What a figure of this card rests on", ("evidence", "meaning"), tuple(legend(used))),
    ]


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
        **({"customers who were treated": manifest.treated} if isinstance(manifest.treated, str) else {}),
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
            (Basis.RECORDED,),
        ),
        _facts("Parameters of the estimator", {name: _text(value) for name, value in sorted(parameters.items())}),
    ]


def _inputs(manifest: Manifest) -> list[DocumentPart]:
    return [
        Heading("Inputs"),
        DocumentTable(
            "What the model looks at",
            ("input", "what it is", "unit", "allowed", "may be missing"),
            tuple(
                (
                    column.name,
                    column.description or "no description",
                    column.unit or "none",
                    _words(column.categories) if column.kind == "category" else _range(column.low, column.high),
                    "yes" if column.nullable else "no",
                )
                for column in manifest.signature.columns
            ),
            (Basis.RECORDED,),
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
            (Basis.RECORDED,),
        ),
    ]


def _gate(verdict: Blessing | None) -> list[DocumentPart]:
    if verdict is None:
        return [Heading("The gate"), Paragraph("The gate has not judged it yet.")]
    gained = (
        ""
        if verdict.gain is None
        else f" Profit per customer above the champion's on the same rows: {verdict.gain:+.4f} ({basis_of('gain')})."
    )
    why = f" Reason: {verdict.reason}." if verdict.reason else ""
    return [
        Heading("The gate"),
        Paragraph(f"Verdict: {verdict.in_words}. By {verdict.actor}, {_day(verdict.decided_s)}.{gained}{why}"),
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
            tuple(basis_of_rule(rule.name) for rule in verdict.rules),
        ),
    ]


def _former(manifest: Manifest, former: Manifest | None, verdict: Blessing | None) -> list[DocumentPart]:
    heading = Heading("Differences to the former champion")
    if former is None:
        return [heading, Paragraph("There was no champion before.")]
    compared = verdict is not None and verdict.gain is not None
    changes = differences(manifest, former)
    return [
        heading,
        Paragraph(
            f"The former champion is candidate {former.candidate}. Each was measured on its own judging rows"
            + ("; the gate compares the two on the same ones." if compared else ".")
        ),
        DocumentTable(
            "What differs",
            ("what", "former", "this model"),
            tuple((change.name, change.was, change.now) for change in changes),
            tuple(change.basis for change in changes),
        ),
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
            (Basis.RECORDED,),
        ),
    ]


def _facts(caption: str, facts: Mapping[str, str]) -> DocumentTable:
    return DocumentTable(caption, ("what", "value"), tuple(facts.items()), (Basis.RECORDED,))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any number"
    return f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"


def _words(words: Sequence[str]) -> str:
    listed = [word for word in words if word]
    more = f" and {len(listed) - MOST_WORDS} more" if len(listed) > MOST_WORDS else ""
    return ", ".join(listed[:MOST_WORDS]) + more or "no word was seen"


def _span(snapshots: Sequence[str]) -> str:
    if not snapshots:
        return "none"
    number = f"{len(snapshots)} snapshot{'s' if len(snapshots) > 1 else ''}"
    return f"{snapshots[0]}, {number}" if len(snapshots) == 1 else f"{snapshots[0]} to {snapshots[-1]}, {number}"


def _day(second: int) -> str:
    return f"{datetime.fromtimestamp(second, tz=UTC):%Y-%m-%d %H:%M} UTC"
