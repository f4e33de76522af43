"""The form of a probe and of its result.

A probe is a function that returns what it found. It raises ``AbsentError`` if the part does not exist and need not, and ``ChurnError``
if the part does not work. Other errors are shown by their type alone: their texts may quote an address with its password.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from churn_store.errors import AbsentError, ChurnError

ProbeState = Literal["ok", "failed", "absent", "follows"]


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe: the part, whether it works, and what was found or has to be done.

    A part that ``follows`` was not looked at, as a part that it needs fails.
    """

    part: str
    state: ProbeState
    said: str


def probed(part: str, probe: Callable[[], str]) -> ProbeResult:
    """Run a probe; an exception becomes its result."""
    try:
        return ProbeResult(part, "ok", probe())
    except AbsentError as error:
        return ProbeResult(part, "absent", str(error))
    except ChurnError as error:
        return ProbeResult(part, "failed", str(error))
    except Exception as error:  # whatever is broken, the other probes must still run
        return ProbeResult(
            part,
            "failed",
            f"{type(error).__module__}.{type(error).__name__}; look at the settings of this part in churn.yaml",
        )
