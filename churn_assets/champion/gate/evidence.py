"""The evidence that the gate judges by, and the result of a rule.

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
from churn_assets.training.equal_rows import merge_copies
from churn_assets.training.held_out import PipelineProbabilities
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.releases.bundles import Bundle
from churn_store.releases.manifest import Evaluation


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule.

    Attributes:
        passed: whether the candidate has passed.
        found: finding in words; if not passed, first its meaning and then the numbers.
        allowed: what the rule allows, in words, with the setting's name.
        undecided: whether it is not passed because there were too few data to decide.
        warning: whether it is passed, but a person should look at it.
        tie: whether it is not passed because the candidate is not significantly better or worse than the champion.
        numbers: numbers of the finding, by name.
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
    """The newest evaluation of a check of a table that the candidate was made from; of one period if the table has periods."""

    table: str
    check: str
    period: str | None
    status: Literal["passed", "failed", "not evaluated"]

    def __str__(self) -> str:
        return f"{self.table}{f' {self.period}' if self.period else ''}: {self.check} {self.status}"


@dataclass(frozen=True)
class Evidence:
    """The inputs of the gate's rules.

    Attributes:
        trained: trained pipeline's probabilities of the rows on which the export is compared with it.
        model: sha256 of the exported model.
        scorer: exported model, which will serve.
        threshold: candidate's decision threshold.
        golden: content of ``golden.json``.
        training_set: training set with the rows of every role and ``churned``. Its judging rows must be later than every label that the
            candidate or the champion was trained on.
        checks: evaluated checks of the tables that the candidate was made from.
        evaluation: evaluation in the candidate's manifest.
        baselines: probabilities of the judging rows by each simple rule of ``evaluation.baselines``.
        untuned: probabilities of the judging rows by the untuned model of each family.
        reachable: best possible probabilities of the judging rows, if the source knows them; no model ranks the rows better, except by
            chance.
        judging_from: first judging snapshot, in epoch seconds; `None` if the data has no time.
        candidate_trained_until: end of the last label window that the candidate was trained on, in epoch seconds.
        epoch: epoch of the newest release when the evidence was read; 0 before the first.
        champion: release that serves; `None` before the first.
        champion_trained_until: end of the last label window that the champion was trained on, in epoch seconds.
        nth: number of this candidate among the different models compared with this champion on these rows, from 1.
        split: rule by which the candidate's judging rows were held out, in words.
        champion_split: rule by which the champion's judging rows were held out, in words.
        known_to_champion: for data without time, number of judging rows whose customers the champion was trained on, because they had
            other equal rows then (``training.equal_rows``).
        unknown_labels: why nothing can be decided by the judging labels, as customers were treated and nobody stands for them; empty where that
            is not so. Rows that stand for others are there as often as they weigh.
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
    known_to_champion: int = 0
    unknown_labels: str = ""

    @cached_property
    def judging(self) -> pl.DataFrame:
        """The judging rows.

        Raises:
            InputError: there are none, one has no label, or all have one class.
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
        """The customer of each judging row; in data without time, copies of a row have one customer."""
        return merge_copies(self.training_set).filter(pl.col("role") == JUDGE)["customer_id"]

    @cached_property
    def counted(self) -> tuple[int, int]:
        """The number of judging rows, and of churners among them, each counted once though it may stand for others."""
        rows = self.judging
        once = rows.unique(["customer_id", "snapshot_s"]) if "snapshot_s" in rows.columns else rows
        return once.height, int(once["churned"].sum())

    @cached_property
    def scores(self) -> Scores:
        """The candidate's probabilities of the judging rows."""
        return _finite("the candidate", self.scorer.score_frame(self.judging))

    @cached_property
    def champion_scores(self) -> Scores:
        """The champion's probabilities of the judging rows.

        Raises:
            InputError: no champion serves, or it needs columns that the training set no longer has.
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
    """Return scores after a check that all are numbers between 0 and 1.

    Raises:
        InputError: some are not.
    """
    wrong = int(np.sum(~((scores >= 0) & (scores <= 1))))
    if wrong:
        raise InputError(f"{who} gives {wrong} of {len(scores)} judging rows no probability between 0 and 1")
    return scores
