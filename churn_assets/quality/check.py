"""The asset check ``quality``: a judgement as Dagster shows it."""

from typing import Final

from churn_assets.orchestration.table_writer import Outcome
from churn_assets.quality.judge import Judgement

QUALITY: Final = "quality"
"""Name of the check."""

CHECKED: Final = (
    "nothing is broken that earlier periods had right; a period that fails is not written, and nothing is scored or trained from it until it "
    "is corrected or accepted (`churn quality accept`)"
)
"""What the check says of itself."""


def outcome_of(judgement: Judgement) -> Outcome:
    """The outcome of the check: it fails where the judgement blocks, and says what was found, what was expected, and what to do."""
    by_kind: dict[str, int] = {}
    for one in judgement.findings:
        by_kind[one.kind] = by_kind.get(one.kind, 0) + 1
    return Outcome(not judgement.blocks, judgement.sentence, {"findings": len(judgement.findings), **by_kind})
