"""The owner of a Dagster instance: one company with one lake.

Jobs and assets have the same names in every company. An instance shared by two companies would call the second's tables up to date
because the first's are. The owner is kept among the cursors of the instance's daemon, which every storage has.

Belongs here: the owner, and the refusal of another one. Does not belong here: which instance is used (``instance``).
"""

import json
from dataclasses import asdict, dataclass

import dagster as dg

from churn_assets.lake.identity import ensure_lake_id, lake_id
from churn_assets.orchestration.instance import instance_in_words
from churn_store.errors import InputError
from churn_store.redaction import without_password

KEY = "churn/owner"


@dataclass(frozen=True)
class Owner:
    """The owner of an instance.

    Attributes:
        company: name of the company in churn.yaml.
        lake_url: address of the lake when the instance was last used.
        lake_id: id that is stored in the lake.
    """

    company: str
    lake_url: str
    lake_id: str


def owner_of(instance: dg.DagsterInstance) -> Owner | None:
    """The owner of an instance; `None` for a new one, and for one that was made before instances had owners."""
    stored = instance.daemon_cursor_storage.get_cursor_values({KEY}).get(KEY)
    return None if stored is None else Owner(**json.loads(stored))


def claim(instance: dg.DagsterInstance, company: str, lake_url: str) -> None:
    """Make sure that an instance belongs to this company and lake; one without an owner is given to them.

    The lake may have moved (its id is the same), or been removed and begun anew (its address is the same).

    Args:
        instance: instance to use.
        company: name of the company in churn.yaml.
        lake_url: address of its lake.

    Raises:
        InputError: if the instance belongs to another company or another lake.
    """
    require_not_another(instance, company, lake_url)
    adopt(instance, company, lake_url)


def require_not_another(instance: dg.DagsterInstance, company: str, lake_url: str) -> None:
    """The check of ``claim`` without its change: nothing is written.

    Raises:
        InputError: if the instance belongs to another company or another lake.
    """
    known = owner_of(instance)
    if known is None or (known.company, known.lake_url) == (company, lake_url):
        return
    if known.company != company or known.lake_id != lake_id(lake_url):
        raise InputError(_refusal(known, company, lake_url))


def require_own(instance: dg.DagsterInstance, company: str, lake_url: str) -> None:
    """``claim``, cheap enough for every tick and run: the lake's id is read only if its address is not the known one.

    Raises:
        InputError: if the instance belongs to another company or another lake.
    """
    known = owner_of(instance)
    if known is None or (known.company, known.lake_url) != (company, lake_url):
        claim(instance, company, lake_url)


def adopt(instance: dg.DagsterInstance, company: str, lake_url: str) -> Owner | None:
    """Make this company and lake the owner of an instance, and return the former owner."""
    known = owner_of(instance)
    owner = Owner(company, lake_url, ensure_lake_id(lake_url))
    if owner != known:
        instance.daemon_cursor_storage.set_cursor_values({KEY: json.dumps(asdict(owner))})
    return known


def _refusal(known: Owner, company: str, lake_url: str) -> str:
    return (
        f"{instance_in_words()} holds the history of company {known.company} with the lake {without_password(known.lake_url)}, but churn.yaml is of "
        f"company {company} with the lake {without_password(lake_url)}; set DAGSTER_HOME to a folder of its own for {company}, or run this in the "
        f"company's own folder with DAGSTER_HOME unset. If {known.company} was renamed, or its lake begun anew at another place, "
        "`churn data adopt` says so to the instance"
    )
