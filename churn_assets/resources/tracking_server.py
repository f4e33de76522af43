"""Checks whether MLflow answers, with one short request: MLflow itself would try for minutes."""

from pathlib import Path

import httpx
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_store.database.schema import connect
from churn_store.errors import AbsentError, InputError
from churn_store.redaction import without_password

OK = 200
PATIENCE_S = 5.0


def is_server(uri: str) -> bool:
    """Whether a tracking address is that of a server, and not of a database."""
    return uri.startswith(("http://", "https://"))


def require_answer(uri: str) -> None:
    """Ask a server for its health.

    Raises:
        InputError: if it does not answer, or not as MLflow does.
    """
    try:
        status: int | str = httpx.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE_S, follow_redirects=True).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        status = type(error).__name__
    if status != OK:
        raise InputError(
            f"the MLflow at {without_password(uri)} does not answer as it should ({status}); start it, or set tracking.uri"
        )


def sign_of_life(uri: str) -> str:
    """Check that MLflow, a server or a database, answers, and return its address without a password.

    Raises:
        AbsentError: if it is a file that was never created.
        InputError: if it does not answer.
    """
    shown = without_password(uri)
    if is_server(uri):
        require_answer(uri)
        return shown
    address = sa.make_url(uri)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).exists():
        raise AbsentError(f"{address.database} is made by the first training")
    engine = connect(uri)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1 FROM experiments LIMIT 1"))
    except SQLAlchemyError as error:
        raise InputError(
            f"the MLflow database {shown} does not answer ({type(error).__name__}); start it, or set tracking.uri"
        ) from error
    finally:
        engine.dispose()
    return shown
