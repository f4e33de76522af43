"""Reasons of one prediction: what each group of attributes adds to the log odds of churn, against the reference row.

The values are Shapley values of the groups: coalitions of groups take the customer's values, the others the reference's, and their
worth is the log odds of the released model. A model of trees gives them from its leaves (``tree_shapley``, ``curved``), a linear one
needs each group only once, and of any other the runtime scores a sample of coalitions (``shapley``). The same customer, model and row
get the same reasons, as samples are seeded by the two.

Belongs here: from a row to its reasons. Does not belong here: the words (``sentences``), the groups (``plan``).
"""

import hashlib
import math
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn_store.model.reasons.curved import MOST_PAIRS, by_every_coalition, by_permutations
from churn_store.model.reasons.plan import Group, ReasonPlan, Value, phrase_of, require_fitting
from churn_store.model.reasons.sentences import sentence
from churn_store.model.reasons.shapley import USUAL, Effort, Sampled, all_coalitions, sampled, singles
from churn_store.model.reasons.tree_shapley import tree_game
from churn_store.model.scorer import LEAST, ROWS_AT_ONCE, Scorer

STRONGEST: Final = 3
"""Number of reasons that lists of customers show."""

BOUND: Final = -math.log(LEAST) - 1e-4
"""Log odds from which on the scorer tells no difference."""

ROUNDING: Final = 1e-4
"""Greatest difference, in log odds, that rounding leaves in the sum of contributions that are exact."""

QUICK: Final = 10_000
"""Comparisons of trees that take well below a millisecond."""

NOTHING: Final = 1e-12
"""A contribution up to this size is rounding, and no reason."""

Numbers = npt.NDArray[np.float32]
Words = npt.NDArray[np.object_]


class Reason(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a group of attributes adds to the log odds.

    Attributes:
        code: stable code of the group.
        contribution: what it adds to the log odds of churn; negative where it keeps the customer.
        text: the attribute of the group that says most, in plain words, with the customer's value and the usual one.
        attribute: name of that attribute.
        value: the customer's value of it; null where it is missing.
        usual: value of the reference row.
        actionable: whether a team can act on it.
    """

    code: str
    contribution: float
    text: str
    attribute: str
    value: Value
    usual: Value
    actionable: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reasons of one prediction. ``reference_log_odds`` + all contributions + ``not_named`` + ``difference`` is ``log_odds``.

    Attributes:
        log_odds: log odds of churn of the customer.
        reference_log_odds: log odds of the reference row.
        reasons: reasons, those that raise the risk most first; attributes with the usual values give none.
        not_named: what the protected attributes add together.
        difference: what the sum misses; nothing but rounding.
        method: ``exact``, or ``sampled`` from ``pairs`` pairs of permutations.
        pairs: number of pairs; 0 where exact.
        evaluations: number of rows that the model scored.
    """

    log_odds: float
    reference_log_odds: float
    reasons: tuple[Reason, ...]
    not_named: float
    difference: float
    method: Literal["exact", "sampled"]
    pairs: int
    evaluations: int

    @property
    def raising(self) -> tuple[Reason, ...]:
        """The strongest reasons that raise the risk, at most ``STRONGEST``."""
        return tuple(reason for reason in self.reasons[:STRONGEST] if reason.contribution > 0)


class Explainer:
    """Explains predictions of one model. It has no state that changes, so threads may share it.

    Args:
        scorer: model.
        plan: reference row and groups.
        model_sha256: digest of ``model.onnx``, by which the samples are seeded.
        effort: how much is evaluated for one row.

    Raises:
        ReleaseError: if the plan is not one of the model's inputs.
    """

    def __init__(self, scorer: Scorer, plan: ReasonPlan, model_sha256: str, *, effort: Effort = USUAL) -> None:
        require_fitting(plan, scorer.signature)
        self._effort = effort
        self.plan = plan
        self.signature = scorer.signature
        self._scorer = scorer
        self._seed = model_sha256
        signature = scorer.signature
        self._columns = {column.name: column for column in signature.columns}
        self._names = (*signature.numbers, *signature.categories)
        self._split = len(signature.numbers)
        groups = [*plan.groups, *([Group("not_named", plan.protected)] if plan.protected else [])]
        self._named, self._players = len(plan.groups), len(groups)
        position = {name: player for player, group in enumerate(groups) for name in group.columns}
        self._player_of = np.array([position[name] for name in self._names])
        numbers, words = signature.tensors([plan.reference])
        self._numbers, self._words = numbers[0], words[0]
        self._reference_log_odds = float(scorer.log_odds(numbers, words)[0])
        trees = scorer.trees
        self._game = None if trees is None else tree_game(trees, self._player_of, self._numbers, self._words)
        self.is_quick = not scorer.has_trees or (
            trees is not None and trees.link.prior is None and self._game is not None and self._game.conditions <= QUICK
        )
        """Whether an explanation takes well below a millisecond."""

    def explain_row(self, customer_id: str | None, row: dict[str, Any]) -> Explanation:
        """The reasons for a plain row with every name of the signature."""
        numbers, words = self._scorer.signature.tensors([row])
        return self.explain(customer_id, numbers[0], words[0])

    def explain(self, customer_id: str | None, numbers: Numbers, words: Words) -> Explanation:
        """The reasons for a row of the model's tensors.

        Args:
            customer_id: id of the customer; ``None`` for a row without one.
            numbers: its numbers ``[numbers]``.
            words: its words ``[categories]``.

        Raises:
            ReleaseError: if the model gives no probability for one of the coalitions.
        """
        same = (numbers == self._numbers) | (np.isnan(numbers) & np.isnan(self._numbers))
        differs = np.concatenate([~same, words != self._words])
        present = np.flatnonzero(np.bincount(self._player_of[differs], minlength=self._players))
        if not present.size:
            return self._as_usual()
        if not self._scorer.has_trees:
            found = self._valued(singles(present.size), present, numbers, words, differs)
            if abs(found.missed) <= ROUNDING * max(1.0, abs(found.log_odds)):
                return self._told(found, present, numbers, words)
            if (bounded := found.beyond_the_bound or self._overwhelmed(found, present, numbers, words)) is not None:
                return self._told(bounded, present, numbers, words)
        by_trees = self._by_trees(customer_id, numbers, words, differs)
        if by_trees is not None and abs(by_trees.missed) <= ROUNDING * max(1.0, abs(by_trees.log_odds)):
            return self._told(by_trees, np.arange(self._players), numbers, words)
        if present.size <= self._effort.exact_players:
            coalitions = all_coalitions(present.size)
        else:
            keys = self._random(customer_id).random((self._effort.pairs, self._players))
            coalitions = sampled(keys[: self._effort.pairs_for(present.size)], present)
        return self._told(self._valued(coalitions, present, numbers, words, differs), present, numbers, words)

    def _random(self, customer_id: str | None) -> np.random.Generator:
        seed = hashlib.sha256(f"{self._seed}:{customer_id or ''}".encode()).digest()
        return np.random.default_rng(int.from_bytes(seed[:8], "big"))

    def _as_usual(self) -> Explanation:
        usual = self._reference_log_odds
        return Explanation(
            log_odds=usual, reference_log_odds=usual, reasons=(), not_named=0.0, difference=0.0, method="exact", pairs=0,
            evaluations=1,
        )  # fmt: skip

    def _overwhelmed(
        self, found: "_Valued", present: npt.NDArray[np.int64], numbers: Numbers, words: Words
    ) -> "_Valued | None":
        """The values where some groups of a linear model reach the bound of the log odds, each alone and against all others.

        A coalition is worth the bound as soon as one of those ``m`` is in it, and the sum of the others before. So of ``m + 1`` orders in which
        they and another group come, that group counts in the one where it is first, and the ``m`` share the rest alike. ``None`` where it
        is not so.
        """
        side = 1.0 if found.log_odds > 0 else -1.0
        overwhelming = side * (found.usual + found.values) >= BOUND
        others = np.where(overwhelming, 0.0, found.values)
        count = int(overwhelming.sum())
        extremes = found.usual + np.array([others[others > 0].sum(), others[others < 0].sum()])
        if not count or (abs(extremes) >= BOUND).any() or (-side * (found.usual + found.values) >= BOUND).any():
            return None
        coalitions = (np.eye(present.size, dtype=bool) | (side * others < 0))[overwhelming]
        player = np.zeros(self._players, dtype=np.int64)
        player[present] = np.arange(present.size)
        if (side * self._worth(coalitions[:, player[self._player_of]], numbers, words) < BOUND).any():
            return None
        values = others / (count + 1)
        rest = (found.log_odds - found.usual - float(values.sum())) / count
        values = np.where(overwhelming, rest, values)
        return msgspec.structs.replace(found, values=values, evaluations=found.evaluations + count)

    def _by_trees(
        self, customer_id: str | None, numbers: Numbers, words: Words, differs: npt.NDArray[np.bool_]
    ) -> "_Valued | None":
        """The values from the leaves of the trees; ``None`` where the model has none that can be read."""
        trees = self._scorer.trees
        if trees is None or self._game is None:
            return None
        found, link, base = self._game.against(numbers, words), trees.link, self._game.base
        values, pairs = link.slope * found.players, 0
        if link.prior is not None:
            terms, players = found.terms, np.union1d(found.terms.with_player, found.terms.without_player)
            terms = terms.among(players)
            exact = by_every_coalition(terms, len(players), trees.base, link)
            if exact is None:
                keys = self._random(customer_id).random((MOST_PAIRS, self._players))[:, players]
                exact, pairs = by_permutations(terms, keys, trees.base, link, found.players[players])
            values = np.zeros(self._players)
            values[players] = exact
        changes = link.log_odds(np.array([found.sum, base]))
        effects = (changes[0] - link.log_odds(found.without) + link.log_odds(found.alone) - changes[1]) / 2
        return _Valued(
            values=values,
            effects=np.where(differs, effects, -np.inf),
            log_odds=float(self._scorer.log_odds(numbers[None], words[None])[0]),
            usual=self._reference_log_odds,
            pairs=pairs,
            exact=not pairs,
            evaluations=1,
        )

    def _valued(
        self,
        chosen: Sampled,
        present: npt.NDArray[np.int64],
        numbers: Numbers,
        words: Words,
        differs: npt.NDArray[np.bool_],
    ) -> "_Valued":
        """Score the coalitions, the whole row, and each attribute of a larger group by itself."""
        player = np.zeros(self._players, dtype=np.int64)
        player[present] = np.arange(present.size)
        own = chosen.coalitions[:, player[self._player_of]]
        sizes = np.bincount(self._player_of[differs], minlength=self._players)
        alone = np.flatnonzero(differs & (sizes[self._player_of] > 1))
        whole = np.ones((1, len(self._names)), dtype=bool)
        without = np.repeat(whole, len(alone), axis=0)
        without[np.arange(len(alone)), alone] = False
        worth = self._worth(np.concatenate([own, whole, without, ~without]), numbers, words)
        count, attributes = len(own), len(alone)
        log_odds, usual = worth[count], self._reference_log_odds
        effects = np.where(differs, 0.0, -np.inf)
        first = count + 1
        effects[alone] = (log_odds - worth[first : first + attributes] + worth[first + attributes :] - usual) / 2
        return _Valued(
            values=chosen.values(worth[:count]),
            effects=effects,
            log_odds=float(log_odds),
            usual=usual,
            pairs=chosen.pairs,
            exact=not chosen.pairs,
            evaluations=len(worth),
        )

    def _worth(self, own: npt.NDArray[np.bool_], numbers: Numbers, words: Words) -> npt.NDArray[np.float64]:
        """The log odds of rows that have the customer's value where ``own`` is true, and the reference's elsewhere."""
        parts = []
        for start in range(0, len(own), ROWS_AT_ONCE):
            mask = own[start : start + ROWS_AT_ONCE]
            mixed = np.where(mask[:, : self._split], numbers, self._numbers)
            spoken = np.where(mask[:, self._split :], words, self._words)
            parts.append(self._scorer.log_odds(mixed, spoken))
        return np.concatenate(parts)

    def _told(self, found: "_Valued", present: npt.NDArray[np.int64], numbers: Numbers, words: Words) -> Explanation:
        reasons, not_named = [], 0.0
        for player, value in zip(present.tolist(), found.values.tolist(), strict=True):
            if player >= self._named:
                not_named = value
            elif abs(value) > NOTHING:
                reasons.append(self._reason(player, value, found.effects, numbers, words))
        reasons.sort(key=lambda reason: (-reason.contribution, reason.code))
        return Explanation(
            log_odds=found.log_odds,
            reference_log_odds=found.usual,
            reasons=tuple(reasons),
            not_named=not_named,
            difference=found.missed,
            method="exact" if found.exact else "sampled",
            pairs=found.pairs,
            evaluations=found.evaluations,
        )

    def _reason(
        self, player: int, value: float, effects: npt.NDArray[np.float64], numbers: Numbers, words: Words
    ) -> Reason:
        """A group's reason, told by the attribute that moves the log odds most in the group's direction."""
        group = self.plan.groups[player]
        members = np.flatnonzero((self._player_of == player) & (effects > -np.inf))
        leading = int(members[np.argmax(effects[members] * (1 if value >= 0 else -1))])
        name = self._names[leading]
        column, usual = self._columns[name], self.plan.reference[name]
        shown: Value
        if leading < self._split:
            shown = None if np.isnan(numbers[leading]) else float(str(numbers[leading]))
        else:
            shown = str(words[leading - self._split]) or None
        return Reason(
            code=group.code,
            contribution=value,
            text=sentence(column, phrase_of(column, self.plan.phrases), shown, usual),
            attribute=name,
            value=shown,
            usual=usual,
            actionable=group.actionable,
        )


class _Valued(msgspec.Struct, frozen=True, kw_only=True):
    """Values of the players that are present, and what each attribute of a larger group does by itself."""

    values: Any
    effects: Any
    log_odds: float
    usual: float
    pairs: int
    exact: bool
    evaluations: int

    @property
    def beyond_the_bound(self) -> "_Valued | None":
        """The values of the groups of a linear model, one by one, where only their sum passes the bound of the scorer's log odds.

        Then the log odds are the sum itself. ``None`` where the sum lies within the bound, or one group passes it alone.
        """
        log_odds = self.usual + float(self.values.sum())
        alone = abs(self.usual + self.values).max()
        if alone >= BOUND or abs(self.log_odds) < BOUND or log_odds * self.log_odds <= 0 or abs(log_odds) < BOUND:
            return None
        return msgspec.structs.replace(self, log_odds=log_odds)

    @property
    def missed(self) -> float:
        return self.log_odds - self.usual - float(self.values.sum())
