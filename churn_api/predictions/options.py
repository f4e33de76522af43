"""What a caller asks of a prediction beside its subject: the query parameters of the fast lane.

Belongs here: names and values of the parameters. Does not belong here: how each is done (``predictions.routes``).
"""

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from litestar.types import Scope

from churn_api.http.decode_errors import malformed

_VALUES: Final = {"true": True, "false": False}


class Options(NamedTuple):
    """Query parameters of a prediction.

    Attributes:
        explain: whether the answer has the reasons.
        features: whether the answer shows the model's inputs.
        use_cache: whether the snapshot that the service knows is good enough; else the newest is looked for first.
    """

    explain: bool = False
    features: bool = False
    use_cache: bool = True


DEFAULT: Final = Options()

DESCRIPTIONS: Final[dict[str, str]] = {
    "explain": "`true`: the answer has the reasons, too: what each group of attributes adds to the log odds of churn.",
    "features": "`true`: the answer shows the inputs of the model, too.",
    "use_cache": "`false`: the service looks for the newest snapshot before it answers, and answers 503 if it can't.",
}


def options_of(scope: Scope, *known: str) -> Options:
    """The options of a request.

    Args:
        scope: scope of the request.
        known: names of the parameters that the route takes.

    Raises:
        Problem: if there is another parameter, one twice, or another value than true or false (400).
    """
    query = scope["query_string"]
    if not query:
        return DEFAULT
    found: dict[str, bool] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            raise malformed("", f"the query has a parameter that is not known; expected only {', '.join(known)}")
        if name in found:
            raise malformed(name, f"the query parameter {name} occurs twice; expected it once")
        if value not in _VALUES:
            raise malformed(name, f"the query parameter {name} is neither true nor false")
        found[name] = _VALUES[value]
    return Options(**found)
