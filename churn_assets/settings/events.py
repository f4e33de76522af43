"""The section ``events`` of ``churn.yaml``: what the company's types of events mean.

Belongs here: the roles, the words that stand for each, and the types with features of their own. Does not belong here: what is
counted of a role or a type (``features.catalogue_events``, ``features.catalogue_types``), and which settings of churn the role
``cancelled`` speaks for (``settings.company``).
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator
from pydantic_settings import NoDecode

from churn_assets.settings.event_names import refused_types
from churn_store.settings import Section

Role = Literal["session", "use", "ticket", "cancelled"]


def _each_once(given: Any) -> Any:
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError("expected types of events as texts, such as [login, app_open]")
    if any(word != word.strip() or not word for word in words):
        raise ValueError("expected types of events; found one that is empty or has blanks around it")
    return tuple(dict.fromkeys(words))


def _one_plain(words: tuple[str, ...]) -> str | list[str]:
    return words[0] if len(words) == 1 else list(words)


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_each_once), PlainSerializer(_one_plain)]
"""Types of events: a list, or one word. One word is also written as one, so that digests of settings are those of a single text."""

ENDS = ("cancelled",)
"""The type of event by which a customer leaves, where nothing else is said."""


class EventRoles(Section):
    """Which types of events mean the same to the platform. An empty list: the company has no such events."""

    session: Words = Field(("session",), description="a visit: a login, an opened app")
    use: Words = Field(("feature_used",), description="a use of a product feature")
    ticket: Words = Field(("support_ticket",), description="a request for help, or a complaint")
    cancelled: Words | None = Field(
        None,
        description="the customer leaves; default: label.event and at_risk.cancelled_event",
    )

    @model_validator(mode="before")
    @classmethod
    def _roles_are_known(cls, given: Any) -> Any:
        if isinstance(given, dict) and (unknown := sorted(set(map(str, given)) - set(get_args(Role)))):
            raise ValueError(f"{', '.join(unknown)} is no role; expected some of {', '.join(get_args(Role))}")
        return given

    @model_validator(mode="after")
    def _each_word_in_one_role(self) -> "EventRoles":
        in_role: dict[str, str] = {}
        for role, words in self._listed():
            for word in words:
                if word in in_role:
                    raise ValueError(
                        f"{word!r} is in {in_role[word]} and in {role}; expected each type of event in one role. Take it out of one "
                        "(a role that is left out has its default; [] leaves it empty)"
                    )
                in_role[word] = role
        return self

    @property
    def counted(self) -> dict[Role, tuple[str, ...]]:
        """The words of each role that features count."""
        return {role: words for role, words in self._listed() if role != "cancelled"}

    def _listed(self) -> Iterator[tuple[Role, tuple[str, ...]]]:
        yield from (
            ("session", self.session),
            ("use", self.use),
            ("ticket", self.ticket),
            ("cancelled", self.cancelled or ()),
        )


class EventSettings(Section):
    """What events mean."""

    roles: EventRoles = EventRoles()
    types: Words = Field(
        (),
        description="types of events that get features of their own, as they stand in the data after the mapping; "
        "`churn validate` proposes some",
        exclude_if=lambda types: not types,  # so that digests of settings without it are what they were
    )

    @field_validator("types")
    @classmethod
    def _each_has_a_name(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if refused := refused_types(types):
            raise ValueError(refused)
        return types
