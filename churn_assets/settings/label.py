"""The section ``label`` of ``churn.yaml``: the definition of churn, and when it is known."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field, model_validator

from churn_assets.settings.churn_kinds import ChurnKinds
from churn_assets.settings.events import ENDS, Words
from churn_store.mapping.column_settings import LabelColumn
from churn_store.settings import Section


class Label(Section):
    """What churn is."""

    kind: Literal["event", "inactivity"] = Field("event", description="a named event, or no event and no settled payment")
    event: Words = Field(
        ENDS, description="the type of event that is churn, or several, for kind `event`; default: events.roles.cancelled"
    )
    horizon_days: int = Field(30, gt=0, description="length of the window after the snapshot")
    grace_days: int = Field(3, ge=0, description="how long after the window rows may still arrive")
    kinds: ChurnKinds | None = Field(
        None,
        description="how churn by payment failure is told from churn by will; labels, card and evaluation then show both apart",
        exclude_if=lambda kinds: kinds is None,  # so that digests of settings without it are what they were
    )

    @model_validator(mode="before")
    @classmethod
    def _no_column(cls, given: object) -> object:
        if isinstance(given, dict) and (misplaced := sorted(set(given) & set(LabelColumn.model_fields))):
            raise ValueError(
                f"{', '.join(misplaced)} describes the label column of data without time; expected `kind`, `event`, `horizon_days`, "
                "`grace_days` or `kinds`, which define churn in a history. Write it under `source.customers.label`, with `shape: table`"
            )
        return given

    @property
    def horizon(self) -> timedelta:
        """Length of the window."""
        return timedelta(days=self.horizon_days)

    @property
    def grace(self) -> timedelta:
        """How long after the window rows may still arrive."""
        return timedelta(days=self.grace_days)


def matures_on(snapshot: date, label: Label) -> date:
    """The day from which every outcome of the snapshot's window is known."""
    return snapshot + label.horizon + label.grace
