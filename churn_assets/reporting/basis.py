"""What a printed figure rests on: one word of few, the same on the model card, on screen and in Dagster.

Belongs here: the words, and which one a measure has. Does not belong here: how they are shown (``document``, ``cli.demo``).
"""

from collections.abc import Iterable
from enum import StrEnum


class Basis(StrEnum):
    """What a figure rests on."""

    MEASURED = "measured"
    PRICED = "priced"
    REPLAYED = "replayed"
    SIMULATED = "simulated"
    ASSUMED = "assumed"
    PREDICTED = "predicted"
    RECORDED = "recorded"

    @property
    def meaning(self) -> str:
        """What the word says of a figure."""
        return MEANINGS[self]


MEANINGS = {
    Basis.MEASURED: "on matured outcomes; of a model on those of rows that neither trained nor calibrated it",
    Basis.PRICED: "matured outcomes, at the prices and the acceptance that `profit` assumes; no offer was made",
    Basis.REPLAYED: "past customers given to a model again, as if it had served then",
    Basis.SIMULATED: "known to the simulator of the company alone; no real company has it",
    Basis.ASSUMED: "written in churn.yaml by somebody",
    Basis.PREDICTED: "the model's word, before any outcome",
    Basis.RECORDED: "counted or kept while the model was made; no estimate",
}

PRICED_MEASURES = {"profit", "expected_maximum_profit", "threshold", "gain"}
SIMULATED_ENDINGS = ("_ceiling", "_reachable", "_hidden_state")
"""Measures of what the simulator alone knows end so."""


def basis_of(measure: str) -> Basis:
    """What a measure of the judging rows rests on, by its name."""
    if measure.endswith(SIMULATED_ENDINGS):
        return Basis.SIMULATED
    return Basis.PRICED if measure in PRICED_MEASURES else Basis.MEASURED


def legend(used: Iterable[Basis]) -> list[tuple[str, str]]:
    """The words in use with their meanings, in one order."""
    wanted = set(used)
    return [(basis.value, basis.meaning) for basis in Basis if basis in wanted]
