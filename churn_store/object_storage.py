"""Object stores: how one is opened, how long it may take to answer, and what is said of one that does not.

Credentials, region and endpoint are read by the clients themselves from the field's own variables (``AWS_ACCESS_KEY_ID``,
``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``, ...). Does not belong here: what lies in a store.
"""

from datetime import timedelta
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import from_url

from churn_store.errors import InputError, StoreAwayError

CONNECT_S = 5
SILENCE_S = 20
"""A request that hears nothing for so long has failed; a large file may take longer, as long as something comes."""

LONGEST_S = 600
RETRIES = 3
RETRY_S = 15
"""After so long a request that failed is not repeated."""

REASONS = {
    "NoSuchBucket": "its bucket does not exist; make it, or mend the address",
    "169.254.169.254": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it under a role",
    "InvalidAccessKeyId": "it does not know the access key; look at AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "it refuses the signature; look at AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "AccessDenied": "it refuses these credentials access; let them list, read and write there",
    "403 Forbidden": "it refuses these credentials access; let them list, read and write there",
}
"""What an error says somewhere in its text, and what that means."""


def in_object_store(url: str) -> bool:
    """Whether an address is one of an object store, rather than a folder."""
    return "://" in url


def open_store(url: str) -> Any:
    """The client of an object store.

    Raises:
        InputError: no address of an object store.
    """
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
            f"{url} is not the address of an object store; expected a folder, or an address like s3://bucket/prefix"
        ) from error


def away(url: str, error: Exception) -> StoreAwayError:
    """What is said of a store that did not do as it was asked."""
    text = str(error)
    reason = next(
        (said for mark, said in REASONS.items() if mark in text),
        f"it does not answer ({type(error).__name__}); look at the address and at AWS_ENDPOINT_URL, and whether it runs",
    )
    return StoreAwayError(f"the object store {url.partition('?')[0]} can't be used: {reason}")
