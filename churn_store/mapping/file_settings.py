"""How files are described in ``churn.yaml``: where they are and what kind of files they are.

Belongs here: what only files have. Does not belong here: which of their columns is which (``mapping``), and what the
files hold (``csv_reader``).
"""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from churn_store.mapping.settings import MappedTable, MappedTables

Encoding = Literal["utf-8", "latin-1", "windows-1252", "utf-16"]


class FileTable(MappedTable):
    """One raw table in files."""

    path: str = Field(
        description="a file or a pattern like data/orders-*.csv or data/**/orders.csv, beside churn.yaml; may be gzip or zstd"
    )
    format: Literal["csv", "parquet"] = "csv"
    separator: str = Field(",", pattern=r"^[\x01-\x7f]$", description="one character; `\\t` is a tab")
    skip_lines: int = Field(0, ge=0, le=1000, description="lines of CSV before the header, such as a title")
    encoding: Encoding = Field("utf-8", description="how the letters of CSV are encoded")
    missing: tuple[str, ...] = Field(("", "NA"), description="words of CSV for a missing value; `NA` may be Namibia")

    @field_validator("separator", mode="before")
    @classmethod
    def _tab(cls, written: object) -> object:
        """A tab in single quotes, or without any, reaches us as a backslash and a letter."""
        return "\t" if written in (r"\t", "tab") else written

    @property
    def missing_words(self) -> list[str]:
        """The words that stand for a missing value."""
        return list(self.missing) if self.format == "csv" else []

    @model_validator(mode="after")
    def _words_that_are_there(self) -> Self:
        """A word for a missing value can't be translated; the label says itself what nothing means."""
        means = {word: f"values.{name}" for name, words in self.values.items() for word in words}
        if self.format == "csv" and (both := sorted(set(self.missing) & set(means))):
            raise ValueError(
                f"{both[0]!r} is in `missing` and in `{means[both[0]]}`; expected it in one. Take it out of `missing`, which is "
                f"{list(self.missing)} here"
            )
        return self


class FilesSettings(MappedTables):
    """Raw tables in files."""

    kind: Literal["files"]
    customers: FileTable | None = None
    events: FileTable | None = None
    payments: FileTable | None = None
    treatments: FileTable | None = Field(
        None,
        description="who was called or given an offer, and who was held out; of a company that sends them to `POST /treatments`, nothing",
        exclude_if=lambda table: table is None,  # so that the fingerprint of a source without it is what it was
    )
