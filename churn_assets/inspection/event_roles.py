"""Gives the types of events their roles, by the sound of their names in the large European languages.

Belongs here: words to roles. What `churn validate` proposes comes first. Does not belong here: which column holds the types
(``activity``).
"""

import re
from collections.abc import Mapping
from typing import get_args

from churn_assets.inspection.names import plain
from churn_assets.preflight.event_types import sounds_like
from churn_assets.settings.events import EventRoles, Role
from churn_store.redaction import is_hidden

MOST = 12
"""At most so many types have a role, the most frequent first."""

ELSEWHERE: Mapping[Role, re.Pattern[str]] = {
    "cancelled": re.compile(
        r"kundig|kuendig|abgemeldet|abmeldung|_austritt|_baja_|cancelac|resili|desabonn|disdett|disiscri|opzeg|opgezegd|rezygn|wypowied|uppsag"
    ),
    "ticket": re.compile(
        r"beschwerde|anfrage|storung|stoerung|reklam|reclam|queja|incidenc|plainte|assistenza|segnalaz|klacht|zglosz|klagom|_hilfe_|_soporte_"
    ),
    "session": re.compile(
        r"anmeldung|einlogg|besuch|aufruf|inicio_de_sesion|_sesion|visita|connexion|visite|accesso|bezoek|inlog|logowan|wizyt|acesso|inloggn|seance"
    ),
    "use": re.compile(r"nutzung|_uso_|utilis|utilizz|utiliza|gebruik|klick|_clic_|uzyci|anvand"),
}


def roles_of(counts: Mapping[str, int]) -> dict[Role, list[str]]:
    """The types of each role, the most frequent first; a type without a role is in none.

    Args:
        counts: number of events by type, the most frequent first.
    """
    found: dict[Role, list[str]] = {role: [] for role in get_args(Role)}
    defaults = {**EventRoles().counted, "cancelled": ("cancelled",)}
    for word in counts:
        role = next((name for name, words in defaults.items() if word in words), None) or _by_sound(word)
        if role is not None and len(found[role]) < MOST:
            found[role].append(word)
    return found


def _by_sound(word: str) -> Role | None:
    if is_hidden(word):
        return None
    return sounds_like(word) or next((role for role, pattern in ELSEWHERE.items() if pattern.search(plain(word))), None)
