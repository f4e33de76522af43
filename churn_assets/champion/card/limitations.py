"""What follows from a model's facts: where it ends, and by what it differs from the champion before it."""

from collections.abc import Mapping
from typing import NamedTuple

from churn_assets.reporting.basis import Basis, basis_of
from churn_store.model.signature import MISSING_CATEGORY, Column
from churn_store.releases.manifest import Blessing, Evaluation, Manifest

MOST_NAMED = 8
"""So many names stand in a sentence; of the others their number."""


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
"""What a measure is called on a card, in the order of the card; another one stands under its own name behind them."""


def measure_in_words(name: str) -> str:
    """What a measure is called on a card."""
    return MEASURES.get(name, name.replace("_", " "))


def limits(manifest: Manifest, evaluation: Evaluation, verdict: Blessing | None) -> tuple[str, ...]:
    """What a model is not for and what was not checked, each with the fact that it follows from."""
    said = [f"It speaks of {manifest.population}, and of nobody else."]
    if manifest.horizon_days is None:
        said.append(
            "The data has no time: whether the model holds later than its rows could not be checked, and its probability speaks of no "
            "window."
        )
        said.append(
            "What it says of customers that it was trained on is no proof of its worth: the column in_sample of churn_scores marks them."
        )
    else:
        said.append(
            f"Its probability speaks of the {manifest.horizon_days} days after the snapshot, not of a shorter or a longer window."
        )
        said.append(
            f"It was fitted and calibrated on snapshots from {manifest.trained_on[0]} to {manifest.trained_on[-1]} and judged up to "
            f"{manifest.judged_on[-1]}; of what has changed since, it knows nothing."
        )
    terms = evaluation.profit
    said.append(
        f"Its threshold pays for an assumed customer value of {terms.customer_value:g}, an offer of {terms.offer_cost:g} and "
        f"{terms.contact_cost:g} for asking; for other costs it is another."
    )
    if isinstance(manifest.protected, dict) and (
        without := sorted(name for name, why in manifest.protected.items() if not why)
    ):
        said.append(
            f"It looks at {_listed(without)}, which the law may protect, and nobody has said why; the next one is refused without a "
            "reason in features.allow_protected."
        )
    said += [*_unknown(manifest), *_unjudged(manifest, evaluation), *_weak(manifest, evaluation)]
    if verdict is not None and verdict.verdict == "overridden":
        said.append(f"It was released against the gate by {verdict.actor}: {verdict.reason or 'no reason was given'}.")
    if verdict is not None and verdict.undecided_rules:
        said.append(f"There was too little to decide by for {_listed(verdict.undecided_rules)}.")
    return tuple(said)


class Changed(NamedTuple):
    """What is not the same in two manifests, and what its values rest on."""

    name: str
    was: str
    now: str
    basis: Basis = Basis.RECORDED


def differences(manifest: Manifest, former: Manifest) -> tuple[Changed, ...]:
    """What is not the same in two manifests."""
    pairs = (
        *(
            Changed(
                what,
                _plain(getattr(former, field)),
                _plain(getattr(manifest, field)),
                basis_of(field) if field == "threshold" else Basis.RECORDED,
            )
            for field, what in COMPARED.items()
        ),
        *(
            Changed(f"parameter {name}", was, now)
            for name, was, now in _of_mappings(_mapping(former.parameters), _mapping(manifest.parameters))
        ),
        *(
            Changed(measure_in_words(name), was, now, basis_of(name))
            for name, was, now in _of_mappings(former.metrics, manifest.metrics)
        ),
        *(Changed(*found) for found in _inputs(manifest, former)),
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
"""What of two manifests is compared, and what it is called."""


def _unknown(manifest: Manifest) -> list[str]:
    categories = [column.name for column in manifest.signature.columns if column.kind == "category"]
    if not categories:
        return []
    return [f"A word that training never saw is scored as unknown: in {_listed(categories)}."]


def _unjudged(manifest: Manifest, evaluation: Evaluation) -> list[str]:
    """The words of categories by which customers were grouped, or could have been, that were too rare to be judged."""
    judged = {(part.column, part.word) for part in evaluation.segments}
    grouped = {column for column, _ in judged}
    rare = [
        f"{column.name} {word!r}"
        for column in manifest.signature.columns
        if column.name in grouped
        for word in column.categories
        if word != MISSING_CATEGORY and (column.name, word) not in judged
    ]
    apart = [
        column.name for column in manifest.signature.columns if column.kind == "category" and column.name not in grouped
    ]
    said = []
    if rare:
        said.append(f"Not judged by themselves, as too few rows have them: {_listed(rare)}.")
    if apart:
        said.append(f"By {_listed(apart)} no segment was judged.")
    return said


def _weak(manifest: Manifest, evaluation: Evaluation) -> list[str]:
    """Where its own measures speak against it."""
    said = []
    slope = evaluation.intervals.get("calibration_slope")
    if slope is not None and (slope.low > 1 or slope.high < 1):
        how = "too timid" if slope.low > 1 else "too sure"
        said.append(
            f"Its probabilities are {how}: measured calibration slope {slope.value:.3f} ({slope.low:.3f} to {slope.high:.3f})."
        )
    ours = manifest.metrics.get("log_loss")
    better = [
        name.replace("_", " ")
        for name, found in evaluation.baselines.items()
        if ours is not None and "log_loss" in found and found["log_loss"] <= ours
    ]
    if better:
        said.append(f"Its log loss is no better than that of {_listed(better)}.")
    if less := less_profit_than(evaluation):
        beside = _listed([f"{name} by {by:.3f}" for name, by in less.items()])
        said.append(f"It brings less profit per customer than simple rules on the same rows: {beside} (priced).")
    worse = [f"{part.column} {part.word!r}" for part in evaluation.segments if part.profit.high < 0]
    if worse:
        said.append(f"Following it loses money in {_listed(worse)}.")
    return said


def less_profit_than(evaluation: Evaluation) -> dict[str, float]:
    """The baselines that bring more profit per customer on the judging rows, and how much more; no proof of chance is asked for."""
    ours = evaluation.intervals.get("profit")
    return {
        name.replace("_", " "): found["profit"] - ours.value
        for name, found in sorted(evaluation.baselines.items())
        if ours is not None and found.get("profit", ours.value) > ours.value
    }


def _inputs(manifest: Manifest, former: Manifest) -> list[tuple[str, str, str]]:
    new = {column.name: column for column in manifest.signature.columns}
    old = {column.name: column for column in former.signature.columns}
    added, removed = [name for name in new if name not in old], [name for name in old if name not in new]
    found = []
    if added or removed:
        found.append(
            ("inputs", f"without {_listed(added)}" if added else "", f"without {_listed(removed)}" if removed else "")
        )
    found += [
        (f"input {name}", *_changed(old[name], column))
        for name, column in new.items()
        if name in old and old[name] != column
    ]
    return found


def _changed(old: Column, new: Column) -> tuple[str, str]:
    """What differs in an input: of categories the words that one lacks, else the fields."""
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
    """A value as a card shows it; a format 1 manifest lacks some."""
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
