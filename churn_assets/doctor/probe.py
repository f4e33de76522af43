"""What a probe is and what it finds.

A probe is a function that answers what it found, raises ``AbsentError`` where the part is not there and need not be, and
``ChurnError`` where it does not work. Other errors are named by their type alone: their texts may quote an address with its password.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from churn_store.errors import AbsentError, ChurnError

ProbeState = Literal["ok", "failed", "absent"]


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found: the part, whether it works, and what was found or is to be done."""

    part: str
    state: ProbeState
    said: str


def probed(part: str, probe: Callable[[], str]) -> ProbeResult:
    """Run a probe; whatever it raises is what it found."""
    try:
        return ProbeResult(part, "ok", probe())
    except AbsentError as error:
        return ProbeResult(part, "absent", str(error))
    except ChurnError as error:
        return ProbeResult(part, "failed", str(error))
    except Exception as error:  # a doctor outlives every illness that it looks at
        return ProbeResult(
            part,
            "failed",
            f"{type(error).__module__}.{type(error).__name__}; look at the settings of this part in churn.yaml",
        )
