"""Shows a backtest to people: lines on the screen, charts and a page."""

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
"""Measures that a page shows for each fold, with their labels; the file has all measures."""


WITH_INTERVAL = ("auc", "log_loss", "profit")
"""Measures whose intervals the page shows; the file has all intervals."""


def sentences(backtest: Backtest) -> list[str]:
    """The results in sentences."""
    worst = backtest.worst
    folds, *changes = details(backtest)
    quality = f"mean AUC {backtest.honest['auc']:.3f}; the worst fold is {worst.test} with {worst.measures['auc']:.3f}"
    return [folds, quality, *changes, *([backtest.limit_in_words] if changes else [])]


def details(backtest: Backtest) -> list[str]:
    """How it was tested, and where the data has time, how the AUC changes and what a random split would have claimed."""
    method = (
        "by time: each model is trained and calibrated before its test snapshot, one horizon of labels in between"
        if backtest.by_time
        else "a backtest by time is impossible, as the data has no time: stratified folds of customers instead"
    )
    folds = (
        f"{len(backtest.folds)} folds, {method}; {backtest.family} with its default parameters, fitted on "
        f"{max(fold.training_rows for fold in backtest.folds):,} rows each"
    )
    return [folds] if backtest.trend is None else [folds, backtest.trend.in_words, backtest.claim_in_words]


def headline(backtest: Backtest, *, floor: float) -> str:
    """The verdict in one sentence: whether the worst fold is good enough, and how long a model lasts.

    Args:
        backtest: the backtest.
        floor: the least AUC that a model may have, ``gate.auc_floor``.
    """
    worst = backtest.worst
    auc = worst.measures["auc"]
    word = "Good enough in every fold" if auc >= floor else "Too weak in a fold"
    return (
        f"{word}: mean AUC {backtest.honest['auc']:.3f}, the least {auc:.3f} ({worst.test}), the floor {floor:g}; "
        f"{backtest.limit_in_words}."
    )


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
    """A chart of each fold's AUC with its interval, and of the AUC by a random split."""
    aucs = [fold.intervals["auc"] for fold in backtest.folds]
    lines = [
        Line(
            "by time" if backtest.by_time else "AUC",
            tuple((float(fold), auc.value) for fold, auc in enumerate(aucs)),
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
    """A chart of the aged models' excess log loss."""
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
    """A table of each fold's measures."""
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
    """A table of aged models, compared with fresh ones."""
    return DocumentTable(
        "Models of each age compared with fresh ones on the same rows, as means over the models. The bound is one-sided, 95 % over all ages "
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
    """A table of the measures by a random split, compared with the means of the folds."""
    claimed = backtest.random_split or {}
    return DocumentTable(
        "A random split puts a customer's rows on both sides, and tests on rows that are not later than the training: its measures are "
        "too good. The means of the folds are what the company would have seen.",
        ("measure", "claimed by a random split", "by time"),
        tuple((SHOWN[name], f"{claimed[name]:.4f}", f"{backtest.honest[name]:.4f}") for name in _shown(backtest)),
        (Basis.REPLAYED,),
    )


def document(backtest: Backtest, *, floor: float) -> Document:
    """The page of a backtest: the verdict, what was found, and the figures.

    Args:
        backtest: the backtest.
        floor: the least AUC that a model may have, ``gate.auc_floor``.
    """
    blocks: list[DocumentPart] = [
        Paragraph(headline(backtest, floor=floor)),
        *(Paragraph(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in details(backtest)),
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


def write(backtest: Backtest, folder: Path, *, as_of: str, floor: float) -> tuple[Path, Path]:
    """Write the page and the figures into a folder, which is created if missing.

    Args:
        backtest: the backtest.
        folder: where to write.
        as_of: day of the backtest, for the names of the files.
        floor: the least AUC that a model may have, ``gate.auc_floor``.

    Returns:
        Paths of the HTML file and the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"backtest-{as_of}-{backtest.family}"
    page, figures = folder / f"{stem}.html", folder / f"{stem}.json"
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(backtest, order="deterministic"), indent=1))
    page.write_text(document(backtest, floor=floor).html(), encoding="utf-8")
    return page, figures


def _shown(backtest: Backtest) -> list[str]:
    """The shown measures that all folds have."""
    return [name for name in SHOWN if all(name in fold.measures for fold in backtest.folds)]
