"""What the figures of each rule rest on."""

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
"""By the rule's name."""


def basis_of_rule(name: str) -> Basis:
    """What a rule's figures rest on; of a rule that is no more only its verdict is kept."""
    return BASES.get(name, Basis.RECORDED)
