"""The types of events that a source has: their roles, the roles that their names sound like, and which may have features of their own.

Belongs here: what `churn validate` says of event types. A proposal is a line to paste, and is never taken by itself. Does not belong
here: what a role is (``settings.events``), what is counted of it (``features.catalogue_events``), and what speaks for features of a type
(``type_choice``).
"""

import re
from collections.abc import Mapping, Sequence
from typing import get_args

import polars as pl
import yaml

from churn_assets.features.feature import Feature
from churn_assets.preflight.report import EventType, OwnFeatures, TableFindings
from churn_assets.preflight.type_choice import proposed_types, type_choices
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import ENDS, EventRoles, EventSettings, Role
from churn_assets.settings.label import Label
from churn_store.redaction import LOOKS_LIKE_ID, MAIL, is_hidden, shown

SHOWN_TYPES = 20
MOST_TYPES = 1_000
"""More different types than these are rather texts or ids than types."""

PROPOSED = 8
"""At most so many types are proposed for a role, the most frequent first."""

SOUNDS_LIKE: Mapping[Role, re.Pattern[str]] = {
    "cancelled": re.compile(
        r"cancel|churn|unsubscri|terminat|deactivat|account_clos|clos\w*_account|^closed?$|^closure$|^(left|quit|offboarded|opted_?out)$"
    ),
    "ticket": re.compile(r"ticket|complain|(^|_)case(_|$)|support|helpdesk"),
    "session": re.compile(r"session|log_?in|log_?on|sign_?in|visit|app_?open|open\w*_app|app_?start|launch|page_?view"),
    "use": re.compile(r"feature|usage|(^|_)used?(_|$)|click"),
}
"""The words that a type of each role may have in its name; the first role that fits is proposed."""

SOUNDS_OTHERWISE = re.compile(
    r"fail|error|undo|revert|resum|reactivat|un_?cancel|withdraw|request|order|booking|appointment|invoice|payment|(^|_)end|"
    r"log_?out|sign_?out|expire|timeout|clos\w*_(ticket|case)|(ticket|case)_(clos|resolv|solv)"
)
"""Words with which a name means something else, such as `login_failed`, `order_cancelled` or `session_end`."""


def look_at_event_types(
    seen: TableFindings,
    events: pl.DataFrame,
    *,
    settings: EventSettings,
    label: Label,
    at_risk: AtRisk,
    features: Sequence[Feature],
    protected: Sequence[str],
) -> None:
    """Add the types of events to the findings about the table ``events``.

    Args:
        seen: findings about the table.
        events: its rows that keep the contract.
        settings: what the types mean, and which have features of their own.
        label: definition of churn.
        at_risk: definition of who is at risk.
        features: features that models see.
        protected: words that no feature may have, in addition to the built-in ones.
    """
    roles = settings.roles
    counts = dict(
        events["event_type"].drop_nulls().value_counts().sort("count", "event_type", descending=[True, False]).iter_rows()
    )
    by_role: dict[Role, tuple[str, ...]] = {**roles.counted, "cancelled": _cancelled(label, at_risk)}
    role_of = {word: ", ".join(role for role, words in by_role.items() if word in words) for word in counts}
    listed = [word for place, word in enumerate(counts) if place < SHOWN_TYPES or role_of[word]]
    masked: dict[str, EventType] = {}
    for word in listed:
        name = _shown(word)
        rows = counts[word] + (masked[name].rows if name in masked else 0)
        masked[name] = EventType(name, rows, role_of[word] or None)
    seen.event_types = list(masked.values())
    seen.more_event_types = len(counts) - len(listed)
    if len(counts) > MOST_TYPES:
        seen.notes.append(
            f"event_type has {len(counts):,} different values; expected a few types. Look at which column it is mapped to"
        )
    for role, words in roles.counted.items():
        if counts and not any(word in counts for word in words):
            _note_constant(seen, role, words, features)
    for word in settings.types:
        if counts and word not in counts:
            _note_absent(seen, word, features)
    seen.proposed_events = proposal(counts, roles, label, at_risk)
    if len(counts) > MOST_TYPES:
        return
    would_be = {} if seen.proposed_events is None else yaml.safe_load(seen.proposed_events)["events"]["roles"]
    sessions, gone = would_be.get("session", roles.session), {*_cancelled(label, at_risk), *would_be.get("cancelled", ())}
    choices = type_choices(events, sessions=sessions, gone=gone, protected=protected)
    seen.own_features = [
        OwnFeatures(_shown(choice.word), choice.customers, choice.each, choice.against, choice.word in settings.types)
        for choice in choices
        if not is_hidden(choice.word)
    ][:SHOWN_TYPES]
    if not settings.types and (types := proposed_types(choices)):
        seen.proposed_events = proposal(counts, roles, label, at_risk, types=types)


def _cancelled(label: Label, at_risk: AtRisk) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(label.event if label.kind == "event" else ()), *at_risk.endings]))


def _shown(word: str) -> str:
    """A type as it may be shown: never what looks like an address or an id."""
    return "what looks like an id" if LOOKS_LIKE_ID.search(word) and not MAIL.search(word) else shown(word)


def _note_constant(seen: TableFindings, role: Role, words: Sequence[str], features: Sequence[Feature]) -> None:
    constant = [feature.name for feature in features if feature.role == role]
    if not constant:
        return
    why = (
        f"no event is of a type of events.roles.{role} ({', '.join(map(_shown, words))})"
        if words
        else f"events.roles.{role} is empty"
    )
    seen.notes.append(f"{why}: {', '.join(constant)} would be the same for everybody, and models leave them out")


def _note_absent(seen: TableFindings, word: str, features: Sequence[Feature]) -> None:
    constant = [feature.name for feature in features if feature.event_type == word]
    if constant:
        seen.notes.append(
            f"no event is of the type {_shown(word)} of events.types: {', '.join(constant)} would be the same for everybody"
        )


def proposal(
    counts: Mapping[str, int], roles: EventRoles, label: Label, at_risk: AtRisk, *, types: Sequence[str] = ()
) -> str | None:
    """The section ``events`` of ``churn.yaml``, as one line, with roles for types without one; `None` if there is nothing to propose.

    Args:
        counts: number of events by type, the most frequent first.
        roles: what the types mean now.
        label: definition of churn.
        at_risk: definition of who is at risk.
        types: types that may have features of their own.
    """
    cancelled = _cancelled(label, at_risk)
    taken = {word for words in roles.counted.values() for word in words} | {*cancelled, *(roles.cancelled or ())}
    found: dict[Role, list[str]] = {role: [] for role in get_args(Role)}
    for word in list(counts)[:MOST_TYPES]:
        role = None if word in taken or is_hidden(word) else sounds_like(word)
        if role is not None and len(found[role]) < PROPOSED:
            found[role].append(word)
    by_event = label.kind == "event"
    counted_words = {word for words in roles.counted.values() for word in words}
    if not cancelled or counted_words & set(
        cancelled
    ):  # where customers come back, or where a role would take the label's word
        found["cancelled"] = []
    if not any(found.values()) and not types:
        return None
    defaults = EventRoles()
    section: dict[str, list[str]] = {}
    for role, words in roles.counted.items():
        is_default = words == defaults.counted[role]
        if found[role] or not is_default:
            section[role] = [*(word for word in words if word in counts or not is_default), *found[role]]
    if found["cancelled"] or roles.cancelled is not None:
        said = roles.cancelled if roles.cancelled is not None else cancelled
        section["cancelled"] = [*(word for word in said if word in counts or said != ENDS), *found["cancelled"]]
        if by_event and not section["cancelled"]:
            del section["cancelled"]
    events = {**({"roles": section} if section else {}), **({"types": list(types)} if types else {})}
    return yaml.safe_dump(
        {"events": events}, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    ).strip()[1:-1]


def sounds_like(word: str) -> Role | None:
    """The role that a type of events has by the sound of its name; `None` if it sounds like none."""
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()).strip("_")
    if SOUNDS_OTHERWISE.search(name):
        return None
    return next((role for role, pattern in SOUNDS_LIKE.items() if pattern.search(name)), None)
