"""Guesses the column that says who churned, and which of its words says what.

Belongs here: the guess, with the share of customers who left by it. Does not belong here: reading the column (``churn_store.mapping.labels``).
"""

from dataclasses import dataclass, field

from churn_assets.inspection import names
from churn_assets.inspection.columns import Column, TableProfile
from churn_store.mapping.numbers import NO_VALUES

UNKNOWN = frozenset(
    {
        *NO_VALUES,
        "",
        "pending",
        "open",
        "tbd",
        "unbekannt",
        "offen",
        "desconocido",
        "inconnu",
        "sconosciuto",
        "onbekend",
        "nieznany",
        "new",
        "joined",
    }
)
MOST_WORDS = 3
RARE_LABEL = 0.5
"""Where more than this share left, the words may be the other way round."""


@dataclass(frozen=True)
class LabelGuess:
    """A column that may say who churned.

    Attributes:
        column: its name.
        churned: word for a customer who left.
        stayed: word for a customer who stayed; empty where nothing is written.
        unknown: word for one of today's customers; empty where nothing is written; ``None`` where there are none.
        rate: share of the labelled customers who churned.
        unlabelled: number of customers without a label.
        score: how much its name and its words tell.
        doubts: what is not sure, for people.
    """

    column: str
    churned: str
    stayed: str
    unknown: str | None
    rate: float
    unlabelled: int
    score: float
    doubts: tuple[str, ...] = field(default=())

    @property
    def is_sure(self) -> bool:
        """Whether the name or the words say that it is about leaving."""
        return self.score >= 3  # noqa: PLR2004 - a name or a pair of words

    @property
    def section(self) -> dict[str, str]:
        """The section ``label`` of the table of customers."""
        section = {"column": self.column, "churned": self.churned, "stayed": self.stayed}
        return section if self.unknown is None else {**section, "unknown": self.unknown}


def guess_label(profile: TableProfile) -> LabelGuess | None:
    """The column that most likely says who churned; ``None`` if none does."""
    return max(guesses(profile), key=lambda guess: guess.score, default=None)


def guesses(profile: TableProfile) -> list[LabelGuess]:
    """All columns that may say who churned, in the order of the table."""
    return [guess for column in profile.columns.values() if (guess := _guess(column)) is not None]


def _guess(column: Column) -> LabelGuess | None:
    if column.time is not None or not 1 <= column.distinct <= MOST_WORDS or column.filled < 2:  # noqa: PLR2004
        return None
    words = column.words(MOST_WORDS)
    missing = column.values.null_count()
    by_name = (
        3.0
        if names.LABEL.search(column.plain)
        else 2.5
        if names.STAYS.search(column.plain)
        else 1.0
        if names.WEAK_LABEL.search(column.plain)
        else 0.0
    )
    is_turned = by_name == 2.5  # noqa: PLR2004 - the name is of those who stayed
    left, stayed, others = _told_apart(words, is_turned=is_turned, is_named=by_name > 0)
    if left is None:
        return None
    by_words = 3.0 if _sounds(left) and (stayed is None or _sounds(stayed, stays=True)) else 2.0 if _sounds(left) else 0.0
    if by_name + by_words < 1 or (by_name == 0 and by_words < 3):  # noqa: PLR2004
        return None
    doubts: list[str] = []
    if stayed is None:
        if others or not missing or by_name < 3:  # noqa: PLR2004
            return None
        stayed, missing = "", 0
        doubts.append("whoever has nothing there is taken for one who stayed")
    unknown: str | None = None
    if others:
        unknown = others[0]
        doubts.append(f"{unknown!r} is taken for today's customers, of whom nobody knows yet")
        if missing:
            return None
    elif missing:
        unknown = ""
    churned_rows, stayed_rows = _count(column, left), _count(column, stayed) if stayed else column.values.null_count()
    rate = churned_rows / max(1, churned_rows + stayed_rows)
    unlabelled = 0 if unknown is None else missing if unknown == "" else _count(column, unknown)
    if rate > RARE_LABEL:
        doubts.append(f"{rate:.0%} left by it, which is much; the two words may be the other way round")
    if by_name + by_words < 3:  # noqa: PLR2004
        doubts.append("neither its name nor its words say that it is about leaving")
    # Of two columns that say it, words say it better than codes.
    return LabelGuess(column.name, left, stayed, unknown, rate, unlabelled, by_name + by_words, tuple(doubts))


def _count(column: Column, word: str) -> int:
    return int((column.values == word).sum())


def _sounds(word: str, *, stays: bool = False) -> bool:
    plain = names.plain(word)
    if stays:
        return names.STAYED_WORD.search(plain) is not None or plain.startswith(("_not_", "_no_"))
    return names.LEFT_WORD.search(plain) is not None and not plain.startswith(("_not_", "_no_", "_non_", "_nicht_"))


def _told_apart(words: list[str], *, is_turned: bool, is_named: bool) -> tuple[str | None, str | None, list[str]]:
    """The word for who left, the one for who stayed, and the others."""
    left = [word for word in words if _sounds(word)]
    stayed = [word for word in words if word not in left and _sounds(word, stays=True)]
    if not left and is_named:
        yes, no = names.YES, names.NO
        yes_words = [word for word in words if names.plain(word).strip("_") in yes]
        no_words = [word for word in words if names.plain(word).strip("_") in no]
        left, stayed = (no_words, yes_words) if is_turned else (yes_words, no_words)
    if len(left) != 1 or len(stayed) > 1:
        return None, None, []
    others = [word for word in words if word not in (*left, *stayed)]
    if not stayed and len(others) == 1 and others[0].lower() not in UNKNOWN:
        stayed, others = others, []
    if len(others) > 1 or (others and not stayed):
        return None, None, []
    return left[0], stayed[0] if stayed else None, others
