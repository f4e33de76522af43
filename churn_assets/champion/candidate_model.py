"""A candidate as data: the value of the asset ``candidate_model``, which the gate and ``champion`` take.

Does not belong here: what a candidate is made of (``candidate``).
"""

import msgspec

from churn_store.errors import InputError, ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore


class CandidateModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate as data: what its asset hands to the gate and to ``champion``.

    Attributes:
        candidate: sha256 of the candidate's manifest in the release files.
        probabilities: sha256 of the table of what the trained pipeline said of the held-out rows, likewise.
        configured: digest of the settings and features that it was fitted with.
    """

    candidate: str
    probabilities: str
    configured: str

    def manifest(self, files: DigestStore) -> Manifest:
        """The candidate's manifest.

        Raises:
            InputError: it is missing or was changed.
            StoreAwayError: the store of the release files does not answer.
        """
        try:
            return load_manifest(files, self.candidate)
        except ReleaseError as error:
            raise InputError(f"the candidate can't be read: {error}; materialize candidate_model again") from error
