"""A backtest for people: its screen, its pictures and its page."""

from pathlib import Path

import msgspec

from churn_assets.backtest.report import LEAST_ORIGINS, Backtest
from churn_assets.reporting.basis import Basis
from churn_assets.reporting.document import Document, DocumentPart, DocumentTable, Heading, Paragraph, Picture
from churn_store.charts.svg_chart import Line, line_chart

SHOWN = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier",
    "lift_top_decile": "lift, top decile",
    "profit": "profit per customer",
}
"""The measures that a page shows of each fold, by what they are called there; a file has all of them."""


WITH_INTERVAL = ("auc", "log_loss", "profit")
"""Of these the page shows the intervals; a file has those of all."""


def sentences(backtest: Backtest) -> list[str]:
    """What was found, in words."""
    worst = backtest.worst
    how = (
        "by time: each model is trained and calibrated before its test snapshot, one horizon of labels in between"
        if backtest.by_time
        else "a backtest by time is impossible, as the data has no time: stratified folds of customers instead"
    )
    said = [
        f"{len(backtest.folds)} folds, {how}; {backtest.family} with its default parameters, fitted on "
        f"{max(fold.training_rows for fold in backtest.folds):,} rows each",
        f"mean AUC {backtest.honest['auc']:.3f}; the worst fold is {worst.test} with {worst.measures['auc']:.3f}",
    ]
    if backtest.trend is None:
        return said
    return [*said, backtest.trend.in_words, backtest.claim_in_words, backtest.limit_in_words]


def screen(backtest: Backtest) -> list[str]:
    """The lines that ``churn backtest`` prints."""
    shown = _shown(backtest)
    lines = [f"  {'test':<12}{'rows':>8}{'AUC (95 %)':>24}" + "".join(f"{SHOWN[name]:>21}" for name in shown[1:])]
    for fold in backtest.folds:
        auc = fold.intervals["auc"]
        lines.append(
            f"  {fold.test:<12}{fold.rows:>8,}{f'{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})':>24}"
            + "".join(f"{fold.measures[name]:>21.4f}" for name in shown[1:])
        )
    if backtest.ages:
        lines += ["", f"  {'age':<12}{'models':>8}{'AUC aged / fresh':>24}{'excess log loss':>21}{'lower bound':>21}"]
        lines += [
            f"  {age.periods:<12}{age.origins:>8}{f'{age.auc:.3f} / {age.fresh_auc:.3f}':>24}{age.excess:>+21.5f}{age.low:>+21.5f}"
            for age in backtest.ages
        ]
    return [*lines, "", *(f"  {sentence}" for sentence in sentences(backtest))]


def folds_chart(backtest: Backtest) -> str:
    """AUC of each fold with its interval, beside what a random split would have claimed."""
    aucs = [fold.intervals["auc"] for fold in backtest.folds]
    lines = [
        Line(
            "by time" if backtest.by_time else "AUC",
            tuple((float(place), auc.value) for place, auc in enumerate(aucs)),
            tuple((auc.low, auc.high) for auc in aucs),
        )
    ]
    if backtest.random_split is not None:
        claimed = backtest.random_split["auc"]
        lines.append(Line("claimed by a random split", ((0.0, claimed), (float(len(aucs) - 1), claimed))))
    return line_chart(
        lines,
        title="AUC of each fold with its interval",
        description="; ".join(f"{fold.test}: {fold.measures['auc']:.3f}" for fold in backtest.folds),
        x_title="test snapshot" if backtest.by_time else "fold",
        y_title="AUC",
        names=[fold.test.removeprefix("20").removesuffix("-01") for fold in backtest.folds],
    )


def ages_chart(backtest: Backtest) -> str:
    """By how much aged models are worse than fresh ones."""
    ages = backtest.ages
    return line_chart(
        [
            Line(
                "excess log loss",
                tuple((float(age.periods), age.excess) for age in ages),
                tuple((age.low, age.excess) for age in ages),
            ),
            Line("a fresh model", tuple((float(age.periods), 0.0) for age in ages)),
        ],
        title="Log loss of an aged model above that of a fresh one, by age, with its one-sided lower bound",
        description="; ".join(f"{age.periods} periods: {age.excess:+.5f}, at least {age.low:+.5f}" for age in ages),
        x_title="age in periods",
        y_title="excess log loss",
    )


def folds_table(backtest: Backtest) -> DocumentTable:
    """The measures of each fold."""
    shown = _shown(backtest)
    return DocumentTable(
        "Each fold on its own test rows; behind a measure its 95 % interval.",
        ("test", "trained on", "calibrated on", "rows", *(SHOWN[name] for name in shown)),
        tuple(
            (
                fold.test,
                " to ".join(dict.fromkeys(fold.trained_on)) or "the other customers",
                ", ".join(fold.calibrated_on) or "the next fold",
                f"{fold.rows:,}",
                *(
                    f"{fold.measures[name]:.3f}"
                    + (
                        f" ({fold.intervals[name].low:.3f} to {fold.intervals[name].high:.3f})"
                        if name in WITH_INTERVAL and name in fold.intervals
                        else ""
                    )
                    for name in shown
                ),
            )
            for fold in backtest.folds
        ),
        (Basis.REPLAYED,),
    )


def ages_table(backtest: Backtest) -> DocumentTable:
    """Aged models beside fresh ones."""
    return DocumentTable(
        "Models of each age beside fresh ones on the same rows, the mean over the models. The bound is one-sided, 95 % over all ages "
        f"together; fewer than {LEAST_ORIGINS} models make no limit.",
        ("age in periods", "models", "AUC", "AUC of fresh ones", "excess log loss", "at least", "profit lost per customer"),
        tuple(
            (
                str(age.periods),
                str(age.origins),
                f"{age.auc:.3f}",
                f"{age.fresh_auc:.3f}",
                f"{age.excess:+.5f}",
                f"{age.low:+.5f}",
                f"{age.lost_profit:+.3f}",
            )
            for age in backtest.ages
        ),
        (Basis.REPLAYED,),
    )


def claim_table(backtest: Backtest) -> DocumentTable:
    """What a random split of the same rows would have claimed, beside the mean of the folds."""
    claimed = backtest.random_split or {}
    return DocumentTable(
        "The flattering figure: rows drawn at random, so that a customer stands on both sides and the test is not later than the "
        "training; beside it the mean of the folds, which is what the company would have seen.",
        ("measure", "claimed by a random split", "by time"),
        tuple((SHOWN[name], f"{claimed[name]:.4f}", f"{backtest.honest[name]:.4f}") for name in _shown(backtest)),
        (Basis.REPLAYED,),
    )


def document(backtest: Backtest) -> Document:
    """The page of a backtest."""
    blocks: list[DocumentPart] = [Paragraph(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in sentences(backtest)]
    blocks += [
        Heading("Folds"),
        Picture(folds_chart(backtest), "AUC of each fold with its 95 % interval."),
        folds_table(backtest),
    ]
    if backtest.random_split is not None:
        blocks += [Heading("What a random split would have claimed"), claim_table(backtest)]
    if backtest.ages:
        blocks += [
            Heading("How a model ages"),
            Picture(ages_chart(backtest), "Excess log loss of aged models, down to its one-sided lower bound."),
            ages_table(backtest),
        ]
    return Document(f"Backtest of {backtest.family}, {backtest.company}", tuple(blocks))


def write(backtest: Backtest, folder: Path, *, as_of: str) -> tuple[Path, Path]:
    """Write the page and the figures into a folder, which is made.

    Returns:
        The HTML file and the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"backtest-{as_of}-{backtest.family}"
    page, figures = folder / f"{stem}.html", folder / f"{stem}.json"
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(backtest, order="deterministic"), indent=1))
    page.write_text(document(backtest).html(), encoding="utf-8")
    return page, figures


def _shown(backtest: Backtest) -> list[str]:
    """The measures that all folds have, of those that are shown."""
    return [name for name in SHOWN if all(name in fold.measures for fold in backtest.folds)]
