"""The version of how words are written in a lake, kept in a file beside its tables.

Belongs here: that file. Does not belong here: the rule (``churn_store.model.words``), and rewriting an older lake (``rewrite``).
"""

from churn_assets.lake.identity import read_mark, write_mark
from churn_assets.lake.lake import Lake
from churn_store.errors import InputError
from churn_store.mapping.tables import OPTIONAL
from churn_store.model.words import NORMALISATION
from churn_store.redaction import without_password

NAME = "_normalisation"
"""The name of the file; a lake that has tables and no such file is of version 1."""

REWRITING = "rewriting"
"""The content of the file while an older lake's words are rewritten."""


def normalisation_of(lake: Lake) -> int:
    """The version of how words are written in a lake; the newest one if it has no raw table yet.

    Raises:
        InputError: if a migration was interrupted, or the lake is newer than this platform.
        StoreAwayError: if the object store does not answer.
    """
    found = read_mark(lake.url, NAME)
    if found is None:
        return 1 if any(lake.has(table) for table in OPTIONAL) else NORMALISATION
    if found == REWRITING:
        raise InputError(
            f"the words of the lake {without_password(lake.url)} are half rewritten, as `churn data migrate` was interrupted; run it again"
        )
    if found not in map(str, range(1, NORMALISATION + 1)):
        raise InputError(
            f"the lake {without_password(lake.url)} writes words by version {found}; expected at most {NORMALISATION}. Use the platform that wrote it, or "
            "a newer one"
        )
    return int(found)


def ensure_normalisation(lake: Lake) -> int:
    """The version of a lake, written down if it is not yet.

    Raises:
        InputError: as ``normalisation_of`` does.
    """
    version = normalisation_of(lake)
    if read_mark(lake.url, NAME) is None:
        write_mark(lake.url, NAME, str(version))
    return version


def is_older(lake: Lake) -> bool:
    """Whether a lake writes words by an older version, or the rewriting of them was cut off.

    Raises:
        InputError: if the lake is newer than this platform.
        StoreAwayError: if the object store does not answer.
    """
    return read_mark(lake.url, NAME) == REWRITING or normalisation_of(lake) < NORMALISATION
