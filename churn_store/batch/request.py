"""What is asked of batch scoring: the file, and how it is read and written.

Belongs here: the request and its places. Does not belong here: the scoring (``score_file``).
"""

from dataclasses import dataclass
from pathlib import Path

from churn_store.batch.tables import with_word
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FileTable


@dataclass(frozen=True)
class ScoringRequest:
    """A file to score, and how.

    Attributes:
        source: file to score.
        target: file of scores.
        id_column: id column of the source; ``None`` for the mapped one, or ``customer_id`` where there is one.
        keep: further columns of the source that are copied to the scores.
        separator: field separator of CSV files; ``None`` for that of the mapping, or a comma.
        force: whether existing files are replaced.
        strict: whether no scores are left if any row can't be scored.
        mapping: description by which the source is read; ``None`` if its columns are called as the release's inputs.
    """

    source: Path
    target: Path
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    separator: str | None = None
    force: bool = False
    strict: bool = False
    mapping: FileTable | None = None

    @property
    def rejected(self) -> Path:
        """The file of rows that can't be scored."""
        return with_word(self.target, "rejected")

    @property
    def written_separator(self) -> str:
        """The field separator of written CSV: that of the file that is read."""
        return self.separator or ("," if self.mapping is None else self.mapping.separator)


def refuse_places(target: Path, *written: Path, source: Path | None, force: bool) -> None:
    """Refuse files that are there already, and to write over the file that is read.

    Args:
        target: file of scores.
        written: other files that are written.
        source: the file that is read.
        force: whether existing files are replaced.

    Raises:
        InputError: if a file may not be written.
    """
    for path in (target, *written):
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{path} would be written over the file that is read; name another OUT")
        if path.is_dir() or (path.exists() and not force):
            raise InputError(f"{path} exists already; remove it, name another OUT, or use --force to replace it")


def require_separator(separator: str) -> None:
    """Refuse what can't separate the fields of CSV.

    Raises:
        InputError: if it is not one character, or has a meaning of its own in CSV.
    """
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        raise InputError(f"--separator is one character such as , or ;, found {separator!r}")
