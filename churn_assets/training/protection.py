"""When a model may be trained on a protected attribute: if a reason is given, or once more if the serving release already uses it.

The list of protected words grows with versions. An installation whose serving release uses a newly protected attribute is warned and may
make one more release with it, whose manifest records the warning. After that a reason is required. Scoring goes on meanwhile.

Belongs here: this rule. Does not belong here: which names are protected (``features.protected_attributes``).
"""

from collections.abc import Mapping
from typing import Protocol

from churn_store.errors import InputError
from churn_store.releases.manifest import Manifest


class ServesRelease(Protocol):
    """Gives access to the manifest of the serving release."""

    def newest_manifest(self) -> Manifest | None:
        """The manifest of the serving release; `None` before the first release."""
        ...


def require_allowed(protected: Mapping[str, str], serving: ServesRelease) -> str:
    """Refuse to train on protected attributes without a reason for their use.

    Args:
        protected: reason for the use of each protected feature, by its name; an empty text where nobody has given one.
        serving: access to the serving release, used only if a reason is missing.

    Returns:
        A warning, if the serving release was trained on them before they were protected; else an empty text.

    Raises:
        InputError: the serving release was not trained on them, or it was made after a warning. The message has the lines to write.
    """
    unexplained = sorted(name for name, reason in protected.items() if not reason)
    if not unexplained:
        return ""
    manifest = serving.newest_manifest()
    served = set() if manifest is None else set(manifest.signature.names)
    warned = manifest.protected if manifest is not None and isinstance(manifest.protected, dict) else {}
    lines = lines_to_write(unexplained)
    if new := [name for name in unexplained if name not in served]:
        raise InputError(
            f"{', '.join(new)}: protected, and no model may see such an attribute unless somebody says why; {lines}, or name "
            f"{'it' if len(new) == 1 else 'them'} in features.exclude"
        )
    if already_warned := [name for name in unexplained if name in warned]:
        raise InputError(
            f"{', '.join(already_warned)}: protected, and the release that serves was the last to be trained on "
            f"{'it' if len(already_warned) == 1 else 'them'} without a reason; {lines}, or name "
            f"{'it' if len(already_warned) == 1 else 'them'} in "
            "features.exclude. The serving release goes on scoring"
        )
    return (
        f"the serving release was trained on {', '.join(unexplained)}, which {'is' if len(unexplained) == 1 else 'are'} protected now: "
        f"one more release may be, and then training is refused; {lines}, or name "
        f"{'it' if len(unexplained) == 1 else 'them'} in features.exclude"
    )


def lines_to_write(names: list[str]) -> str:
    """The lines of churn.yaml that allow the features, for a message."""
    reasons = ", ".join(f'{name}: "why, by whom"' for name in names)
    return f"write `features: {{allow_protected: {{{reasons}}}}}` into churn.yaml"
