"""A tree ensemble that is none is refused before onnxruntime sees it; what the families write is not."""

from typing import Any

import numpy as np
import pytest

from churn_store.errors import ReleaseError
from churn_store.model.onnx_allowlist import require_plain
from churn_store.model.onnx_trees import DEEPEST
from churn_store.model.scorer import PROBABILITIES, NoProbabilityError, Scorer
from tests.store.trees import SIGNATURE, chain, model

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a branch too deep": (chain(DEEPEST + 1), f"of more than {DEEPEST} branches from root to leaf"),
    "400,000 branches": (chain(400_000), f"of more than {DEEPEST} branches from root to leaf"),
    "a circle": (chain(3, nodes_truenodeids=[1, 2, 1, 0, 0, 0, 0]), "with a circle"),
    "a circle through the root": (chain(3, nodes_truenodeids=[1, 2, 0, 0, 0, 0, 0]), "with a circle"),
    "a branch to itself": (chain(1, nodes_truenodeids=[0, 0, 0]), "with a circle"),
    "one child of two branches": (chain(2, nodes_falsenodeids=[3, 3, 0, 0, 0]), "a node of two branches"),
    "a node that no branch leads to": (
        chain(1, nodes_treeids=[0, 0, 0], nodes_falsenodeids=[1, 0, 0]), "a node of two branches or one of none",
    ),
    "a child that does not exist": (chain(1, nodes_truenodeids=[9, 0, 0]), "to a node that does not exist"),
    "a child before the first": (chain(1, nodes_truenodeids=[-5, 0, 0]), "to a node that does not exist"),
    "a child in another tree": (
        chain(2, nodes_treeids=[0, 1, 0, 0, 1], target_treeids=[0, 0, 1]), "to a node that does not exist",
    ),
    "a node twice": (chain(1, nodes_nodeids=[0, 1, 1]), "with a node twice"),
    "a tree in pieces": (
        {**chain(1), "nodes_treeids": [0, 1, 0], "nodes_nodeids": [0, 0, 1], "nodes_modes": ["LEAF"] * 3,
         "target_treeids": [0], "target_nodeids": [0], "target_ids": [0], "target_weights": [0.0]},
        "told in pieces",
    ),
    "a column beside the table": (chain(1, nodes_featureids=[3, 0, 0]), "a column beside the 3 of its table"),
    "a column before the table": (chain(1, nodes_featureids=[-1, 0, 0]), "a column beside the 3 of its table"),
    "a column that is far away": (chain(1, nodes_featureids=[2**40, 0, 0]), "a column beside the 3 of its table"),
    "lists of other lengths": (chain(1, nodes_values=[0.5] * 2), "told in lists of other lengths"),
    "no kinds of nodes": ({name: values for name, values in chain(1).items() if name != "nodes_modes"}, "told in lists of other lengths"),
    "an unknown comparison": (chain(1, nodes_modes=["BRANCH_MEMBER", "LEAF", "LEAF"]), "of the kind b'BRANCH_MEMBER'"),
    "a target that does not exist": (chain(1, target_ids=[0, 1]), "with a target that does not exist"),
    "a target before the first": (chain(1, target_ids=[0, -1]), "with a target that does not exist"),
    "a weight without a leaf": (chain(1, target_nodeids=[1, 0]), "that weighs a leaf that does not exist"),
    "a weight less than leaves": (chain(1, target_weights=[0.0]), "whose leaves are told in lists of other lengths"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.timeout(30)
def test_an_ensemble_that_is_none_is_refused(case: str) -> None:
    attributes, said = FAULTS[case]
    with pytest.raises(ReleaseError, match=said):
        require_plain(model(attributes), gives=PROBABILITIES)


@pytest.mark.parametrize("branches", [0, 1, DEEPEST])
def test_a_tree_as_deep_as_any_family_grows_it_scores(branches: int) -> None:
    scorer = Scorer(model(chain(branches)), SIGNATURE)
    assert scorer.probabilities(np.zeros((3, 3), np.float32), np.empty((3, 0), object)).tolist() == [0.5] * 3


ZEROS = dict.fromkeys(SIGNATURE.names, 0.0)


def given(weight: float, rows: int = 3) -> Scorer:
    """A model that answers twice a weight, which Sigmoid does not bound."""
    return Scorer(model(chain(1, target_weights=[weight, weight]), last="Add"), SIGNATURE)


@pytest.mark.parametrize("weight", [3.5, -0.1, 0.5001, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_probability_is_never_an_answer(weight: float) -> None:
    with pytest.raises(NoProbabilityError, match="no probability from 0 to 1 for 450 of 450 rows") as refused:
        given(weight).probabilities(np.zeros((450, 3), np.float32), np.empty((450, 0), object))
    assert refused.value.rows == 450
    assert np.isnan(refused.value.given).all()
    with pytest.raises(NoProbabilityError, match="for 1 of 1 rows"):
        given(weight).score_row(ZEROS)


@pytest.mark.parametrize(("weight", "answer"), [(0.50000012, 1.0), (-1e-7, 0.0), (0.25, 0.5)])
def test_what_32_bits_round_beyond_0_and_1_is_0_or_1(weight: float, answer: float) -> None:
    assert given(weight).probabilities(np.zeros((1, 3), np.float32), np.empty((1, 0), object)).tolist() == [answer]
    assert given(weight).score_row(ZEROS) == answer


def test_a_model_runs_on_200_rows_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, ran = given(0.25), []
    run = scorer._session.run

    class Session:
        def run(self, outputs: list[str], feed: dict[str, Any]) -> Any:
            ran.append(len(feed["numbers"]))
            return run(outputs, feed)

    monkeypatch.setattr(scorer, "_session", Session())
    assert len(scorer.probabilities(np.zeros((450, 3), np.float32), np.empty((450, 0), object))) == 450
    assert ran == [200, 200, 50]
