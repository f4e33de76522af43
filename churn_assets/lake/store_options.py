"""How the lake's libraries talk to an object store.

Belongs here: options of Delta's own library and of Polars. Does not belong here: the stores of releases
(``churn_store.storage.object_storage``).
"""

from churn_store.storage.object_storage import CONNECT_S, RETRIES


def delta_options(patience_s: int) -> dict[str, str]:
    """Options for Delta's own library. Those that keep two writers apart are fixed here, whatever the environment says."""
    return {
        "allow_http": "true",
        "timeout": f"{patience_s}s",
        "connect_timeout": f"{min(CONNECT_S, patience_s)}s",
        "max_retries": str(RETRIES),
        "retry_timeout": f"{patience_s}s",
        "conditional_put": "etag",
        "AWS_S3_ALLOW_UNSAFE_RENAME": "false",
    }


def polars_options(patience_s: int) -> dict[str, str | int]:
    """Options for Polars, which reads the rows."""
    return {
        "allow_http": "true",
        "timeout": f"{patience_s}s",
        "connect_timeout": f"{min(CONNECT_S, patience_s)}s",
        "max_retries": RETRIES,
        "retry_timeout_ms": patience_s * 1_000,
    }
