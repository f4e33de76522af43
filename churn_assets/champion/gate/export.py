"""The rules that the exported model equals the trained pipeline: on the golden rows, and on every held-out row."""

import numpy as np

from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.training.held_out import compared_rows
from churn_store.errors import InputError
from churn_store.releases.golden_rows import replay
from churn_store.releases.manifest import GOLDEN_TOLERANCE, decode_golden

OTHER_MODEL = "the export is not the trained model: "


def golden_rows_repeat(case: Evidence) -> RuleResult:
    """The export gives the trained pipeline's probabilities on the golden rows."""
    golden = decode_golden(case.golden)
    difference = replay(case.scorer, golden)
    same = difference <= GOLDEN_TOLERANCE
    return RuleResult(
        same,
        f"{'' if same else OTHER_MODEL}differs by {difference:.1e} on {len(golden.rows)} golden rows",
        f"at most {GOLDEN_TOLERANCE:.0e}, which is no setting; run the job retrain",
        numbers={"greatest_difference": difference, "rows": len(golden.rows)},
    )


def export_equals_pipeline(case: Evidence) -> RuleResult:
    """The export gives the pipeline's probabilities and decisions on all held-out rows, also with missing values and unseen words.

    Raises:
        InputError: the pipeline's probabilities are of another model or of other rows.
    """
    if case.trained.model != case.model:
        raise InputError(
            f"the pipeline's probabilities are of model {case.trained.model[:12]}, the candidate is model {case.model[:12]}; materialize "
            "candidate_model again"
        )
    rows, altered = compared_rows(case.training_set, case.scorer.signature)
    if (len(case.trained.held_out), len(case.trained.altered)) != (rows.height, altered.height) or not rows.height:
        raise InputError(
            f"the pipeline gave probabilities of {len(case.trained.held_out)} held-out rows and {len(case.trained.altered)} altered ones; "
            f"expected {rows.height} and {altered.height}, and at least one; run the job retrain"
        )
    exported = np.concatenate([case.scorer.score_frame(frame) for frame in (rows, altered)])
    trained = np.concatenate([case.trained.held_out, case.trained.altered])
    difference = float(np.max(np.abs(exported - trained)))
    flipped = int(np.sum((exported >= case.threshold) != (trained >= case.threshold)))
    same = difference <= GOLDEN_TOLERANCE and flipped == 0
    return RuleResult(
        same,
        f"{'' if same else OTHER_MODEL}differs by {difference:.1e} and {flipped} decisions flipped on {rows.height} held-out rows and {altered.height} with values "
        "missing or words unseen",
        f"at most {GOLDEN_TOLERANCE:.0e}, which is no setting, and no decision at the threshold {case.threshold:.4f} flipped; run the job "
        "retrain",
        numbers={
            "greatest_difference": difference,
            "flipped": flipped,
            "held_out_rows": rows.height,
            "altered_rows": altered.height,
        },
    )
