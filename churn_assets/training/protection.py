"""Who may train on a protected attribute: whoever has said why, and for one last time who has trained on it before.

The list of protected words grows. An installation whose serving release looks at an attribute that is protected since is warned, and
makes one more release with it; that release says so in its manifest, and after it a reason is asked for. Scoring goes on meanwhile.

Belongs here: this rule. Does not belong here: which names are protected (``features.protected_attributes``).
"""

from collections.abc import Mapping
from typing import Protocol

from churn_store.errors import InputError
from churn_store.releases.manifest import Manifest


class ServesRelease(Protocol):
    """Knows what the release that serves says of itself."""

    def newest_manifest(self) -> Manifest | None:
        """Its manifest; `None` before the first release."""
        ...


def require_allowed(protected: Mapping[str, str], serving: ServesRelease) -> str:
    """Refuse to train on protected attributes for whose use nobody has given a reason.

    Args:
        protected: why each protected feature may be used, by its name; empty where nobody has said so.
        serving: the release that serves now, asked only where a reason is missing.

    Returns:
        A warning, where the serving release was trained on them before they were protected; else nothing.

    Raises:
        InputError: no release was trained on them, or the serving one was made after a warning. It has the lines to write.
    """
    without = sorted(name for name, reason in protected.items() if not reason)
    if not without:
        return ""
    manifest = serving.newest_manifest()
    known = set() if manifest is None else set(manifest.signature.names)
    warned = manifest.protected if manifest is not None and isinstance(manifest.protected, dict) else {}
    lines = lines_to_write(without)
    if new := [name for name in without if name not in known]:
        raise InputError(
            f"{', '.join(new)}: protected, and no model may see such an attribute unless somebody says why; {lines}, or name "
            f"{'it' if len(new) == 1 else 'them'} in features.exclude"
        )
    if late := [name for name in without if name in warned]:
        raise InputError(
            f"{', '.join(late)}: protected, and the release that serves was the last to be trained on "
            f"{'it' if len(late) == 1 else 'them'} without a reason; {lines}, or name {'it' if len(late) == 1 else 'them'} in "
            "features.exclude. The serving release goes on scoring"
        )
    return (
        f"the serving release was trained on {', '.join(without)}, which {'is' if len(without) == 1 else 'are'} protected now: "
        f"one more release may be, and then training is refused; {lines}, or name "
        f"{'it' if len(without) == 1 else 'them'} in features.exclude"
    )


def lines_to_write(names: list[str]) -> str:
    """What to write into churn.yaml so that the features may be used."""
    reasons = ", ".join(f'{name}: "why, by whom"' for name in names)
    return f"write `features: {{allow_protected: {{{reasons}}}}}` into churn.yaml"
