"""A candidate as a document: the value of the asset ``candidate_model``, which the gate and ``champion`` take.

Does not belong here: how a candidate is made (``candidate``).
"""

import msgspec

from churn_store.errors import InputError, ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore


class CandidateModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of a candidate.

    Attributes:
        candidate: sha256 of the candidate's manifest in the release files.
        probabilities: sha256, in the release files, of the table of the trained pipeline's probabilities (``training.held_out``).
        configured: digest of the settings and features of the fit (``training.config_digest``).
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
