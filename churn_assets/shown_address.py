"""An address as it may be shown, in a report, a log or an error."""

from urllib.parse import urlsplit, urlunsplit


def without_password(url: str) -> str:
    """An address as it may be shown: without user, password and query."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return url.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
