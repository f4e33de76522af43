"""How files are described in ``churn.yaml``: where they are, which of their columns is which, and how values are written.

Belongs here: names, defaults, and which descriptions can't be. Does not belong here: what the files hold (``file_text``,
``file_values``).
"""

from datetime import date
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, field_validator, model_validator

from churn_assets.raw.source import RESERVED, Table
from churn_store.settings import Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Attribute(Section):
    """A column that says something of a customer and becomes a feature."""

    column: str = Field(description="its name in the file")
    kind: Literal["number", "category"]
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    unit: str = ""
    description: str = ""


class LabelColumn(Section):
    """The column of data without time that says who churned."""

    column: str
    churned: str = Field("Yes", description="the word for a customer who left")
    stayed: str = Field("No", description="the word for a customer who stayed")


class FileTable(Section):
    """One raw table in files."""

    path: str = Field(description="a file or a pattern like data/orders-*.csv, beside churn.yaml")
    format: Literal["csv", "parquet"] = "csv"
    separator: str = Field(",", pattern=r"^[\x01-\x7f]$", description="one character")
    columns: dict[str, str] = Field(description="canonical name: name in the file")
    constants: dict[Literal["event_type", "status"], str] = Field(
        {}, description="canonical name: the one value that all rows have"
    )
    time_format: str | None = Field(None, description="strftime pattern of times; default: ISO 8601")
    time_zone: str = Field("UTC", description="zone of times that name none; a time that it skips is moved on")
    amount_unit: Literal["cents", "units"] = Field("units", description="`units`: 11.77 is 1177 cents")
    attributes: dict[Name, Attribute] = Field({}, description="feature name: column of the file")
    label: LabelColumn | None = None

    @field_validator("attributes")
    @classmethod
    def _free_names(cls, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        if taken := sorted(set(attributes) & RESERVED):
            raise ValueError(
                f"{', '.join(taken)} can't be names of attributes, the platform's tables use them; choose others"
            )
        return attributes

    @model_validator(mode="after")
    def _mapped_once(self) -> Self:
        if twice := sorted(set(self.columns) & set(self.constants)):
            raise ValueError(f"{', '.join(twice)} is given in `columns` and in `constants`; keep one of them")
        return self

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone; expected a name like Europe/Berlin") from error
        return name


class FilesSettings(Section):
    """Raw tables in files.

    ``shape: history`` has ``events`` or ``payments`` or both, and ``customers`` or none: then they are derived from those.
    ``shape: table`` has only ``customers``, with a label column and no time.
    """

    kind: Literal["files"]
    shape: Literal["history", "table"] = "history"
    start: date | None = Field(None, description="the first day with data; needed for a history")
    customers: FileTable | None = None
    events: FileTable | None = None
    payments: FileTable | None = None

    @model_validator(mode="after")
    def _tables_fit_the_shape(self) -> Self:
        if self.shape == "table":
            if self.customers is None or self.customers.label is None or self.events or self.payments:
                raise ValueError("shape `table` needs `customers` with a `label`, and neither `events` nor `payments`")
        else:
            if self.events is None and self.payments is None:
                raise ValueError("shape `history` needs `events` or `payments`; one table with a label is shape `table`")
            if self.start is None:
                raise ValueError("shape `history` needs `start`, the first day with data")
            if self.customers is not None and self.customers.label is not None:
                raise ValueError("a `label` column belongs to shape `table`; a history's label is defined in `label:`")
        required = {
            "customers": {"customer_id"} | ({"signed_up"} if self.shape == "history" else set()),
            "events": {"customer_id", "event_type", "occurred"},
            "payments": {"customer_id", "amount", "occurred"},
        }
        optional = {
            "customers": {"occurred", "known"} if self.shape == "history" else set(),
            "events": {"event_id", "known"},
            "payments": {"payment_id", "status", "known"},
        }
        for name in ("customers", "events", "payments"):
            table: FileTable | None = getattr(self, name)
            if table is None:
                continue
            given = {*table.columns, *table.constants}
            if name != "customers" and (table.attributes or table.label):
                raise ValueError(f"`attributes` and `label` belong to `customers`, not to `{name}`")
            if missing := required[name] - given:
                raise ValueError(f"`{name}.columns` must map {', '.join(sorted(missing))}")
            if unknown := given - required[name] - optional[name]:
                raise ValueError(
                    f"`{name}.columns` maps unknown {', '.join(sorted(unknown))}; "
                    f"expected {', '.join(sorted(required[name] | optional[name]))}"
                )
        return self

    @property
    def tables(self) -> tuple[Table, ...]:
        """The raw tables that the graph has; customers are derived where no file has them."""
        found: list[Table] = ["customers"]
        if self.events is not None:
            found.append("events")
        if self.payments is not None:
            found.append("payments")
        return tuple(found)
