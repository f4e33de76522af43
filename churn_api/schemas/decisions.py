"""What a request says with a decision of a person: about a release, or an experiment.

Belongs here: fields that several routes take alike. Does not belong here: the rules of the words (``churn_store.releases.attribution``).
"""

from typing import Annotated

import msgspec

from churn_store.releases.attribution import LONGEST_REASON

GivenReason = Annotated[
    str, msgspec.Meta(min_length=1, max_length=LONGEST_REASON, description="one line with a letter or a digit")
]

Named = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="a digest or at least four digits of one, an epoch, or NAME/VERSION of the registry",
    ),
]
"""A release or a candidate, as a person names it."""
