"""The limitations of a model, and its differences from the former champion, derived from the manifests."""

from collections.abc import Mapping
from typing import NamedTuple

from churn_assets.reporting.basis import Basis, basis_of
from churn_store.model.signature import MISSING_CATEGORY, Column
from churn_store.releases.manifest import Blessing, Evaluation, Manifest

MOST_NAMED = 8
"""Greatest number of names in a sentence; the others are counted."""


MEASURES = {
    "auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_slope": "calibration slope (1 is calibrated)",
    "calibration_intercept": "calibration in the large (0 is calibrated)",
    "lift_top_decile": "lift in the top decile",
    "base_rate": "rate of churn",
    "precision": "precision at the threshold",
    "recall": "recall at the threshold",
    "f1": "F1 at the threshold",
    "accuracy": "accuracy at the threshold",
    "true_positives": "true positives",
    "false_positives": "false positives",
    "false_negatives": "false negatives",
    "true_negatives": "true negatives",
    "profit": "profit per customer at the threshold",
    "expected_maximum_profit": "expected maximum profit per customer",
    "auc_reachable": "best ROC AUC that the tables allow, known to the simulator",
    "log_loss_reachable": "best log loss that the tables allow, known to the simulator",
    "auc_hidden_state": "ROC AUC of the simulator's hidden state, which nobody reaches",
    "auc_ceiling": "ROC AUC of the simulator's hidden state, which nobody reaches (name of older releases)",
}
"""Label of each measure, in the order of the card; measures without a label follow under their own names."""


def measure_in_words(name: str) -> str:
    """The label of a measure."""
    return MEASURES.get(name, name.replace("_", " "))


def limits(manifest: Manifest, evaluation: Evaluation, verdict: Blessing | None) -> tuple[str, ...]:
    """What a model is not for, and what was not checked, each with the fact that it follows from."""
    sentences = [f"It speaks of {manifest.population}, and of nobody else."]
    if manifest.horizon_days is None:
        sentences.append(
            "The data has no time: whether the model holds later than its rows could not be checked, and its probability speaks of no "
            "window."
        )
        sentences.append(
            "Its scores of customers that it was trained on prove nothing: the column in_sample of churn_scores marks them."
        )
    else:
        sentences.append(
            f"Its probability speaks of the {manifest.horizon_days} days after the snapshot, not of a shorter or a longer window."
        )
        sentences.append(
            f"It was fitted and calibrated on snapshots from {manifest.trained_on[0]} to {manifest.trained_on[-1]} and judged up to "
            f"{manifest.judged_on[-1]}; of what has changed since, it knows nothing."
        )
    terms = evaluation.profit
    sentences.append(
        f"Its threshold pays for an assumed customer value of {terms.customer_value:g}, an offer of {terms.offer_cost:g} and "
        f"{terms.contact_cost:g} for asking; for other costs it is another."
    )
    if isinstance(manifest.protected, dict) and (
        without := sorted(name for name, why in manifest.protected.items() if not why)
    ):
        sentences.append(
            f"It looks at {_listed(without)}, which the law may protect, and nobody has said why; the next one is refused without a "
            "reason in features.allow_protected."
        )
    sentences += [*_unknown(manifest), *_unjudged(manifest, evaluation), *_weak(manifest, evaluation)]
    if verdict is not None and verdict.verdict == "overridden":
        sentences.append(f"It was released against the gate by {verdict.actor}: {verdict.reason or 'no reason was given'}.")
    if verdict is not None and verdict.undecided_rules:
        sentences.append(f"There was too little to decide by for {_listed(verdict.undecided_rules)}.")
    return tuple(sentences)


class Changed(NamedTuple):
    """A difference between two manifests, with the kind of evidence of its values."""

    name: str
    was: str
    now: str
    basis: Basis = Basis.RECORDED


def differences(manifest: Manifest, former: Manifest) -> tuple[Changed, ...]:
    """The differences between two manifests.

    Args:
        manifest: manifest of the model.
        former: manifest of the former champion.
    """
    pairs = (
        *(
            Changed(
                label,
                _plain(getattr(former, field)),
                _plain(getattr(manifest, field)),
                basis_of(field) if field == "threshold" else Basis.RECORDED,
            )
            for field, label in COMPARED.items()
        ),
        *(
            Changed(f"parameter {name}", was, now)
            for name, was, now in _of_mappings(_mapping(former.parameters), _mapping(manifest.parameters))
        ),
        *(
            Changed(measure_in_words(name), was, now, basis_of(name))
            for name, was, now in _of_mappings(former.metrics, manifest.metrics)
        ),
        *(Changed(*difference) for difference in _inputs(manifest, former)),
    )
    return tuple(pair for pair in pairs if pair.was != pair.now) or (Changed("nothing", "the same", "the same"),)


COMPARED = {
    "family": "family",
    "label": "churn is",
    "horizon_days": "horizon in days",
    "population": "population",
    "purpose": "purpose",
    "threshold": "threshold",
    "trained_on": "fitted and calibrated on",
    "calibrated_on": "calibrated on",
    "judged_on": "judged on",
    "training_rows": "rows to fit and calibrate",
    "judging_rows": "rows to judge",
    "split": "split",
    "code_commit": "code",
    "lock_sha256": "lock",
}
"""Compared fields of manifests, with their labels."""


def _unknown(manifest: Manifest) -> list[str]:
    categories = [column.name for column in manifest.signature.columns if column.kind == "category"]
    if not categories:
        return []
    return [f"A word that training never saw is scored as unknown: in {_listed(categories)}."]


def _unjudged(manifest: Manifest, evaluation: Evaluation) -> list[str]:
    """Sentences on words that were too rare to be judged as segments, and on categories without segments."""
    judged = {(part.column, part.word) for part in evaluation.segments}
    grouped = {column for column, _ in judged}
    rare = [
        f"{column.name} {word!r}"
        for column in manifest.signature.columns
        if column.name in grouped
        for word in column.categories
        if word != MISSING_CATEGORY and (column.name, word) not in judged
    ]
    without_segments = [
        column.name for column in manifest.signature.columns if column.kind == "category" and column.name not in grouped
    ]
    sentences = []
    if rare:
        sentences.append(f"Not judged by themselves, as too few rows have them: {_listed(rare)}.")
    if without_segments:
        sentences.append(f"By {_listed(without_segments)} no segment was judged.")
    return sentences


def _weak(manifest: Manifest, evaluation: Evaluation) -> list[str]:
    """Sentences on measures that speak against the model."""
    sentences = []
    slope = evaluation.intervals.get("calibration_slope")
    if slope is not None and (slope.low > 1 or slope.high < 1):
        how = "underconfident" if slope.low > 1 else "overconfident"
        sentences.append(
            f"Its probabilities are {how}: measured calibration slope {slope.value:.3f} ({slope.low:.3f} to {slope.high:.3f})."
        )
    ours = manifest.metrics.get("log_loss")
    better = [
        name.replace("_", " ")
        for name, measures in evaluation.baselines.items()
        if ours is not None and "log_loss" in measures and measures["log_loss"] <= ours
    ]
    if better:
        sentences.append(f"Its log loss is no better than that of {_listed(better)}.")
    if less := less_profit_than(evaluation):
        shortfalls = _listed([f"{name} by {by:.3f}" for name, by in less.items()])
        sentences.append(f"It brings less profit per customer than simple rules on the same rows: {shortfalls} (priced).")
    worse = [f"{part.column} {part.word!r}" for part in evaluation.segments if part.profit.high < 0]
    if worse:
        sentences.append(f"Following it loses money in {_listed(worse)}.")
    return sentences


def less_profit_than(evaluation: Evaluation) -> dict[str, float]:
    """How much more profit per customer each better baseline brings on the judging rows, significant or not."""
    ours = evaluation.intervals.get("profit")
    return {
        name.replace("_", " "): measures["profit"] - ours.value
        for name, measures in sorted(evaluation.baselines.items())
        if ours is not None and measures.get("profit", ours.value) > ours.value
    }


def _inputs(manifest: Manifest, former: Manifest) -> list[tuple[str, str, str]]:
    new = {column.name: column for column in manifest.signature.columns}
    old = {column.name: column for column in former.signature.columns}
    added, removed = [name for name in new if name not in old], [name for name in old if name not in new]
    changes = []
    if added or removed:
        changes.append(
            ("inputs", f"without {_listed(added)}" if added else "", f"without {_listed(removed)}" if removed else "")
        )
    changes += [
        (f"input {name}", *_changed(old[name], column))
        for name, column in new.items()
        if name in old and old[name] != column
    ]
    return changes


def _changed(old: Column, new: Column) -> tuple[str, str]:
    """What differs in an input: for categories the words that one of them lacks, else the fields."""
    if old.kind == new.kind == "category" and set(old.categories) != set(new.categories):
        gone = [repr(word) for word in old.categories if word not in new.categories]
        come = [repr(word) for word in new.categories if word not in old.categories]
        return (f"knew {_listed(gone)}" if gone else "", f"knows {_listed(come)}" if come else "")
    names = [name for name in Column.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    was, now = (", ".join(f"{name} {getattr(column, name)!r}" for name in names) for column in (old, new))
    return was, now


def _of_mappings(old: Mapping[str, object], new: Mapping[str, object]) -> list[tuple[str, str, str]]:
    return [(name, _plain(old.get(name)), _plain(new.get(name))) for name in dict.fromkeys([*new, *old])]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _plain(value: object) -> str:
    """A value as a card shows it; manifests of format 1 lack some values."""
    if isinstance(value, tuple):
        return f"{value[0]} to {value[-1]}" if len(value) > 1 else "".join(value) or "none"
    if isinstance(value, bool) or value is None:
        return "none" if value is None else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value) if isinstance(value, str) else "not said"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
