"""The part of a model card on reasons: the reference row they are told against, and how often each is given.

Does not belong here: the other parts of a card and their order (``model_card``).
"""

from churn_assets.champion.card.worth import number
from churn_assets.reporting.basis import Basis
from churn_assets.reporting.document import DocumentPart, DocumentTable, Heading, Paragraph
from churn_store.model.reasons.plan import REFERENCE, Frequency, ReasonPlan
from churn_store.releases.manifest import Manifest

NEVER = Frequency(0.0, 0.0, 0.0)


def reasons(manifest: Manifest) -> list[DocumentPart]:
    """The reasons that the model's predictions are given; nothing of a model that is older than they are."""
    plan = manifest.reasons
    if not isinstance(plan, ReasonPlan):
        return []
    counted = {group.code: plan.frequencies.get(group.code, NEVER) for group in plan.groups}
    ranked = sorted(plan.groups, key=lambda group: (-counted[group.code].first, -counted[group.code].size, group.code))
    hidden = " Protected attributes are never named." if plan.protected else ""
    return [
        Heading("Reasons"),
        Paragraph(
            f"A prediction's reasons say what each group of inputs adds to the log odds of churn, against one reference row: {REFERENCE}. "
            f"They add up to the prediction, and say what the model does; a cause they are not.{hidden}"
        ),
        DocumentTable(
            "How often each reason is the strongest that raises the risk, or among the three strongest, on a sample of the judging rows; "
            "and its mean size in log odds",
            ("reason", "inputs", "a team can act on it", "strongest", "among three", "mean size"),
            tuple(
                (
                    group.code,
                    ", ".join(group.columns),
                    "yes" if group.actionable else "no",
                    f"{counted[group.code].first:.1%}",
                    f"{counted[group.code].among_three:.1%}",
                    number(counted[group.code].size),
                )
                for group in ranked
            ),
            (Basis.PREDICTED,),
        ),
    ]
