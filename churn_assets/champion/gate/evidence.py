"""What the gate looks at, and what a rule says.

Belongs here: the inputs of the rules, and what several rules derive from them. Does not belong here: reading them
(``champion.blessing_asset``), and the rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.tables import JUDGE
from churn_assets.training.equal_rows import with_copies_as_one
from churn_assets.training.held_out import PipelineProbabilities
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.releases.bundles import Bundle
from churn_store.releases.manifest import Evaluation


@dataclass(frozen=True)
class RuleResult:
    """What a rule found, what it allows, and the numbers that it went by.

    Attributes:
        found: what was found; of a rule that is not passed what it means first, then the numbers.
        allowed: what is allowed, and by which setting.
        undecided: not passed, because there was too little to decide by.
        warning: passed, but a person should look at it.
        tie: not passed, as the candidate is neither better nor worse than the champion beyond chance.
    """

    passed: bool
    found: str
    allowed: str
    undecided: bool = False
    warning: bool = False
    tie: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """The newest evaluation of a check of a table that the candidate was made of; of one period, where the table has periods."""

    table: str
    check: str
    period: str | None
    status: Literal["passed", "failed", "not evaluated"]

    def __str__(self) -> str:
        return f"{self.table}{f' {self.period}' if self.period else ''}: {self.check} {self.status}"


@dataclass(frozen=True)
class Evidence:
    """What the gate looks at.

    Attributes:
        trained: what the trained pipeline said of the rows that the export is compared on.
        model: sha256 of the export.
        scorer: the export, which will serve.
        threshold: the candidate's decision threshold.
        golden: the bytes of ``golden.json``.
        training_set: the rows of every role, with ``churned``. Those that judge are later than every label that the candidate or
            the champion was trained on.
        checks: checks of the tables that the candidate was made of.
        evaluation: what the candidate's manifest says of it.
        baselines: the probabilities that the simple rules of ``evaluation.baselines`` give the judging rows, by name.
        untuned: the probabilities that the untuned model of each family gives the judging rows, by family.
        reachable: the best prediction that the tables allow of each judging row, where the source knows it; nobody can order the rows
            better, but for chance.
        judging_from: T of the first judging snapshot, in epoch seconds; None where data has no time.
        candidate_trained_until: the end of the last label window that the candidate was trained on, in epoch seconds.
        epoch: the newest release when this was read; 0 for none.
        champion: the release that serves; None before the first.
        champion_trained_until: likewise, of the champion.
        nth: which of the different models this is that were compared with this champion on these rows, from 1.
        split: how the candidate's judging rows were kept apart, in words.
        champion_split: likewise, of the champion.
        champion_knows: number of judging rows whose customers the champion was trained on, where data has no time: rows that had
            other equals then (``training.equal_rows``).
    """

    trained: PipelineProbabilities
    model: str
    scorer: Scorer
    threshold: float
    golden: bytes
    training_set: pl.DataFrame
    checks: Sequence[Checked]
    evaluation: Evaluation
    baselines: Mapping[str, Scores]
    untuned: Mapping[str, Scores]
    reachable: Scores | None
    judging_from: int | None
    candidate_trained_until: int | None
    epoch: int
    champion: Bundle | None
    champion_trained_until: int | None
    nth: int
    split: str
    champion_split: str | None
    champion_knows: int = 0

    @cached_property
    def judging(self) -> pl.DataFrame:
        """The rows that judge.

        Raises:
            InputError: none, or one without a label, or all of one class.
        """
        rows = self.training_set.filter(pl.col("role") == JUDGE)
        labels = rows["churned"]
        if labels.dtype != pl.Boolean or labels.null_count():
            raise InputError(f"{labels.null_count()} of {rows.height} judging rows have no label; expected one each")
        if labels.all() or not labels.any():
            raise InputError(
                f"all {rows.height} judging rows {'stayed' if not labels.any() else 'churned'}; expected both; judge on more rows"
            )
        return rows

    @cached_property
    def churned(self) -> Labels:
        """The labels of the judging rows."""
        return self.judging["churned"].to_numpy()

    @cached_property
    def customers(self) -> pl.Series:
        """Whose the judging rows are; of data without time copies of a row are one customer's."""
        return with_copies_as_one(self.training_set).filter(pl.col("role") == JUDGE)["customer_id"]

    @cached_property
    def scores(self) -> Scores:
        """The candidate's probabilities of the judging rows."""
        return _finite("the candidate", self.scorer.score_frame(self.judging))

    @cached_property
    def champion_scores(self) -> Scores:
        """The champion's probabilities of the judging rows.

        Raises:
            InputError: there is none, or it needs columns that no longer exist; its scores are never invented.
        """
        if self.champion is None:
            raise InputError("no champion serves; nothing to compare with")
        lacking = [name for name in self.champion.scorer.signature.names if name not in self.judging.columns]
        if lacking:
            raise InputError(
                f"the champion {self.champion.digest[:12]} needs {', '.join(lacking)}, which the training set no longer has, so the two "
                f"can't be compared on the same rows; bring {'it' if len(lacking) == 1 else 'them'} back, or let a named person release "
                "the candidate with `churn approve ID --override`"
            )
        return _finite("the champion", self.champion.scorer.score_frame(self.judging))


def _finite(who: str, scores: Scores) -> Scores:
    """Scores, all of which are numbers between 0 and 1.

    Raises:
        InputError: if some are missing.
    """
    wrong = int(np.sum(~((scores >= 0) & (scores <= 1))))
    if wrong:
        raise InputError(f"{who} gives {wrong} of {len(scores)} judging rows no probability between 0 and 1")
    return scores
