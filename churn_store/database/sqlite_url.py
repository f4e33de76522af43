"""The SQLAlchemy address of an embedded database, whatever the letters of its path."""

from pathlib import Path


def sqlite_url(file: Path) -> str:
    """The address of a SQLite file.

    Only the two characters that an address gives a meaning are encoded: MLflow takes the rest for the path as it stands.
    """
    return "sqlite:///" + str(file.absolute()).replace("%", "%25").replace("?", "%3F")
