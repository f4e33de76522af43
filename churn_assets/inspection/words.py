"""The words of payments: what their status means, and in which currency they are.

Belongs here: words to the platform's words. The patterns of `churn validate` come first. Does not belong here: the words of events
(``history``), labels (``label_guess``).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from churn_assets.inspection import names
from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.series import share
from churn_assets.preflight.status_words import kind_of
from churn_store.mapping.money import CODE, CURRENCY_NAMES
from churn_store.mapping.tables import STATUSES
from churn_store.redaction import in_yaml

MOST_WORDS = 15

ELSEWHERE: Mapping[str, re.Pattern[str]] = {
    "refunded": re.compile(
        r"erstattet|gutschrift|ruckbuch|ruckgabe|reembols|devuel|devol|rembours|avoir|rimbors|terugbet|zwrot|zwroc|estorn|aterbet"
    ),
    "failed": re.compile(
        r"fehlgeschl|abgelehnt|gescheit|offen|uberfallig|mahnung|gemahnt|fallid|rechaz|impagad|pendient|echou|refus|impay|attente|fallit|rifiut|"
        r"insolut|scadut|mislukt|geweigerd|openstaand|nieudan|odrzuc|falh|recus|pending|_open_|past_due|late|miss"
    ),
    "settled": re.compile(
        r"bezahlt|beglichen|gezahlt|eingegangen|erfolgreich|verbucht|pagad|cobrad|abonad|paye|regle|encaiss|pagat|saldat|incassat|betaald|voldaan|"
        r"zaplac|oplac|pago|quitad|betald|sale|payment|purchase|_ok_|_done_"
    ),
}
"""Words of other languages, as ``names.plain`` writes them."""


@dataclass(frozen=True)
class StatusMap:
    """The column of a payment's status, and what its words mean here."""

    column: str
    values: Mapping[str, str]
    why: str


def status_of(profile: TableProfile, draft: Draft, *, besides: Collection[str]) -> StatusMap | None:
    """The status of payments; ``None`` where all of them count as settled."""
    for column in profile.columns.values():
        if column.name in besides or column.is_number or column.time is not None or column.filled == 0:
            continue
        words = column.words(MOST_WORDS)
        kinds = {word: _meaning(word) for word in words}
        is_named = names.STATUS.search(column.plain) is not None
        told = {kind for kind in kinds.values() if kind}
        if not words or not told or not (is_named or (all(kinds.values()) and "refunded" in told and len(told) > 1)):
            continue
        unsure = [word for word, kind in kinds.items() if not kind]
        if unsure:
            draft.ask(
                f"{profile.table.name}: {column.name} has the words {', '.join(map(repr, unsure))}, which say nothing here; taken for failed",
                f"source.payments.values.status.{in_yaml(unsure[0])}: settled",
            )
        values = {word: kind or "failed" for word, kind in kinds.items() if word not in STATUSES}
        return StatusMap(column.name, values, "")
    return None


def _meaning(word: str) -> str:
    if word in STATUSES:
        return word
    plain = names.plain(word)
    return kind_of(plain.strip("_")) or next((kind for kind, pattern in ELSEWHERE.items() if pattern.search(plain)), "")


def currency_of(draft: Draft, profile: TableProfile, table: TableDraft) -> None:
    """Choose the most frequent currency where there are several; a single one needs no setting."""
    column = _currency_column(profile)
    if column is None:
        return
    words = column.words(MOST_WORDS)
    if len(words) > 1 and any(re.fullmatch(CODE, word) for word in words):
        keep = words[0].upper()
        kept = share(column.values.str.to_uppercase() == keep)
        table.described["currency"] = {"column": column.name, "keep": keep}
        table.why["currency"] = (
            f"{kept:.0%} of the payments; those in {', '.join(words[1:4])} are left out, as amounts are never added up"
        )
        draft.ask(
            f"{profile.table.name}: amounts are in {len(words)} currencies; only those in {keep} ({kept:.0%}) are read",
            f"source.payments.currency: {{column: {in_yaml(column.name)}, is_converted: true}}",
        )
    else:
        table.left_out[column.name] = f"all amounts are in {words[0]}" if words else "it is empty"


def _currency_column(profile: TableProfile) -> Column | None:
    for column in profile.columns.values():
        if re.sub(r"[\s_-]+", "_", column.name.strip().lower()) in CURRENCY_NAMES and column.filled:
            return column
    return None
