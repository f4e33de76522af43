"""Object stores: how one is opened, how long it may take to answer, and the error if it does not.

Credentials, region and endpoint are read by the clients themselves from the field's own variables (``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``, ...). Does not belong here: what lies in a store.
"""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import from_url

from churn_store.errors import InputError, StoreAwayError
from churn_store.redaction import without_password
from churn_store.settings import store_endpoints

CONNECT_S = 5
SILENCE_S = 20
"""Silence after which a request has failed; a large file may take longer, as long as data arrives."""

LONGEST_S = 600
RETRIES = 3
RETRY_S = 15
"""Time after which a failed request is not repeated."""

REASONS = {
    "NoSuchBucket": "its bucket does not exist; make it, or mend the address",
    "169.254.169.254": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it under a role",
    "InvalidAccessKeyId": "it does not know the access key; look at AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "it refuses the signature; look at AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "AccessDenied": "it refuses these credentials access; let them list, read and write there",
    "403 Forbidden": "it refuses these credentials access; let them list, read and write there",
}
"""Parts of an error's text, and their meaning."""


def in_object_store(url: str) -> bool:
    """Whether an address is one of an object store, rather than a folder.

    Raises:
        InputError: if it is neither, but an address with one slash.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)", url):
        scheme, _, rest = url.partition(":/")
        raise InputError(
            f"{without_password(url)} is neither a folder nor an address; expected a folder, or "
            f"{without_password(f'{scheme}://{rest}')} with two slashes"
        )
    return "://" in url


def open_store(url: str) -> Any:
    """The client of an object store.

    Raises:
        InputError: if it is no address of an object store, or a variable names an invalid server.
    """
    require_endpoint()
    try:
        return from_url(
            url,
            client_options={
                # These options take the place of all that the variables say. An endpoint that begins with http:// is meant so.
                "allow_http": True,
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "read_timeout": timedelta(seconds=SILENCE_S),
                "timeout": timedelta(seconds=LONGEST_S),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
        )
    except (BaseError, ValueError) as error:
        raise InputError(
            f"{without_password(url)} is not the address of an object store; expected a folder, or an address like s3://bucket/prefix"
        ) from error


def require_endpoint() -> None:
    """Refuse a server that is no address: the clients would panic at the first request.

    Raises:
        InputError: if there is one; the message names the variable.
    """
    for name, value in store_endpoints().items():
        if not _is_server(value):
            raise InputError(
                f"{name} is {without_password(value).rpartition('@')[2]!r}; expected http:// or https:// and a host, such as http://localhost:9000, or "
                "the variable unset"
            )


def _is_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port  # refuses one that is no port
    except ValueError:
        return False
    return re.match(r"https?://\S+\Z", address, re.IGNORECASE) is not None and bool(parts.hostname)


def away(url: str, error: Exception) -> StoreAwayError:
    """What is said of a store that did not do as it was asked."""
    text = str(error)
    reason = next(
        (said for mark, said in REASONS.items() if mark in text),
        f"it does not answer ({type(error).__name__}); look at the address and at AWS_ENDPOINT_URL, and whether it runs",
    )
    return StoreAwayError(f"the object store {without_password(url)} can't be used: {reason}")
