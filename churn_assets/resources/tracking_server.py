"""Whether an MLflow server answers, asked once and soon: MLflow itself would try for minutes."""

import urllib.error
import urllib.request

from churn_assets.doctor.probe import without_password
from churn_store.errors import InputError

OK = 200
PATIENCE_S = 5.0


def is_server(uri: str) -> bool:
    """Whether a tracking address is that of a server, not of a database."""
    return uri.startswith(("http://", "https://"))


def require_answer(uri: str) -> None:
    """Ask a server for its health.

    Raises:
        InputError: it does not answer, or not as MLflow does.
    """
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PATIENCE_S) as answer:  # noqa: S310
            status = answer.status
    except (OSError, ValueError) as error:
        status = error.code if isinstance(error, urllib.error.HTTPError) else type(error).__name__
    if status != OK:
        raise InputError(
            f"the MLflow at {without_password(uri)} does not answer as it should ({status}); start it, or set tracking.uri"
        )
