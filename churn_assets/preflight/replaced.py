"""Replaces the file of one table in the section ``source``, so that a new delivery can be examined before it is ingested."""

from pathlib import Path

from churn_assets.settings.source import SourceSettings
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings


def with_file(source: SourceSettings, file: Path, table: str | None) -> FilesSettings:
    """The section ``source`` with one table in another file; its description stays.

    Args:
        source: configured section.
        file: absolute path of the file.
        table: name of the table; default: the only one that is configured.

    Raises:
        InputError: if the source has no files or not this table, or if it has several tables and none is named.
    """
    if not isinstance(source, FilesSettings):
        raise InputError(
            f"the source is of kind {source.kind}, which reads no files; expected kind `files`, whose description says how {file.name} "
            "is read"
        )
    described = {
        name: description
        for name in ("customers", "events", "payments")
        if (description := getattr(source, name)) is not None
    }
    if table is None and len(described) > 1:
        raise InputError(f"the source has files of {', '.join(described)}; say with --table which of them {file.name} is")
    chosen = table or next(iter(described))
    if chosen not in described:
        raise InputError(f"the source has no files of {chosen}; expected one of {', '.join(described)}")
    instead = described[chosen].model_copy(update={"path": str(file)})
    return source.model_copy(update={chosen: instead})
