"""The kind of evidence that each rule's figures rest on."""

from churn_assets.reporting.basis import Basis

BASES = {
    "data_quality_green": Basis.RECORDED,
    "judging_rows_are_later": Basis.RECORDED,
    "golden_rows_repeat": Basis.REPLAYED,
    "export_equals_pipeline": Basis.REPLAYED,
    "baselines_beaten": Basis.MEASURED,
    "not_worse_than_untuned": Basis.MEASURED,
    "auc_above_floor": Basis.MEASURED,
    "auc_plausible": Basis.MEASURED,
    "calibrated": Basis.MEASURED,
    "profit_not_negative": Basis.PRICED,
    "more_profit_than_champion": Basis.PRICED,
    "no_segment_worse": Basis.PRICED,
    "latency": Basis.REPLAYED,
}
"""Kind of evidence by the rule's name."""


def basis_of_rule(name: str) -> Basis:
    """The kind of evidence of a rule's figures; for a rule that no longer exists, that of its recorded verdict."""
    return BASES.get(name, Basis.RECORDED)
