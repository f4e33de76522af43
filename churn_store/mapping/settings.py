"""How a company's tables are described in ``churn.yaml``: which of their columns is which, and how values are written.

Belongs here: what files and a database have in common: names, defaults, and which descriptions can't be. Does not belong
here: where the tables lie (``file_settings``, ``churn_assets.settings.postgres``) and what they hold (``canonical``).
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, StringConstraints, field_validator, model_validator

from churn_store.mapping.column_settings import Attribute, Currency, Ids, LabelColumn
from churn_store.mapping.reserved_names import RESERVED
from churn_store.model.words import writings
from churn_store.settings import Section

if TYPE_CHECKING:
    from churn_store.mapping.tables import Table

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
EventType = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

EPOCH = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
"""Formats of times that are counted from 1970: by how many in a second."""

EXCEL_DAYS = "excel_days"
"""Format of times that are counted in days, as spreadsheets do: 45292.5 is noon of 2024-01-01."""

NO_ID = "none"
"""The column that ``customer_id`` is mapped to where a table has no ids."""

NOT_A_PLACE = frozenset({"localtime", "posixrules", "Factory"})
"""Names in the zone database that say nothing of a zone, or what each machine likes."""

DIRECTIVE = re.compile(r"%[-_0]?(\.?\d?f|:*[A-Za-z+%])")
"""A field of a ``strftime`` pattern, as chrono knows them; its name is the group."""

TIMES = ("signed_up", "occurred", "known", "due")
"""Canonical names that hold times."""


@cache
def _time_zones() -> frozenset[str]:
    """The names of all zones; to find them, many files are opened."""
    return frozenset(available_timezones() - NOT_A_PLACE)


class MappedTable(Section):
    """One raw table: the names of its columns and the ways of its values."""

    columns: dict[str, str] = Field(
        description="canonical name: name in the table; an id that is not mapped is a digest of what is"
    )
    constants: dict[Literal["event_type", "status", "channel", "offer"], str] = Field(
        {}, description="canonical name: the one value that all rows have"
    )
    values: dict[Name, dict[str, str]] = Field(
        {},
        description="event_type, status, treated, channel, offer or a category: {word in the table: word here}; others stay as they are",
    )
    time_format: str | None = Field(
        None,
        description="strftime pattern of times in text, or epoch_s, epoch_ms, epoch_us, epoch_ns or excel_days; default: ISO 8601",
    )
    aggregated_by: Literal["day", "week", "month"] | None = Field(
        None,
        description="a row sums up the `day` or `month` in which its time lies, or the `week` that begins then, and counts as happened at "
        "its end; default: a row is a single act",
        exclude_if=lambda span: span is None,  # so that the fingerprint of a source without it is what it was
    )
    event_times: dict[EventType, str] = Field(
        {},
        description="of events, instead of `event_type` and `occurred`: {type: column with its time}; a row, such as a contract with its "
        "start and its end, is an event of each type whose time is there",
        exclude_if=lambda times: not times,
    )
    time_zone: str = Field(
        "UTC",
        description="zone of times that name none; a time that it skips is moved on, and a day without a time is that day of the "
        "calendar whatever the zone: it begins at midnight of UTC, as snapshots do",
    )
    amount_unit: Literal["cents", "units"] = Field("units", description="`units`: 11.77 is 1177 cents")
    value_unit: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="what the values of events are counted in, such as seconds; needed where `value` is mapped",
        exclude_if=lambda unit: unit is None,  # so that the fingerprint of a source without values is what it was
    )
    value_decimals: int = Field(
        0,
        ge=0,
        le=6,
        description="decimals of the values of events: with 1, 4.5 is kept as 45 tenths, and values with more decimals are set aside",
        exclude_if=lambda decimals: decimals == 0,
    )
    decimal: Literal[".", ","] = Field(".", description="mark of decimals in text; with `,` also 1.234,50")
    thousands: Literal[",", ".", " ", "'"] | None = Field(
        None, description="mark between thousands in text; a blank stands for narrow ones as well, ' also for \u2019"
    )
    currency: Currency | None = Field(None, description="currency of each amount; without it there must be one currency")
    ids: Ids | None = Field(None, description="how ids of customers are rewritten; default: they stay as they are")
    attributes: dict[Name, Attribute] = Field({}, description="feature name: column of the table")
    label: LabelColumn | None = None

    @property
    def mapped(self) -> list[str]:
        """The columns that are read, each once."""
        return list(
            dict.fromkeys(
                [
                    *(column for name, column in self.columns.items() if name != "customer_id" or self.has_ids),
                    *self.event_times.values(),
                    *(attribute.column for attribute in self.attributes.values()),
                    *([self.label.column] if self.label else []),
                    *([self.currency.column] if self.currency else []),
                ]
            )
        )

    @property
    def has_ids(self) -> bool:
        """Whether the table has ids of customers, rather than ``customer_id: none``."""
        return self.columns.get("customer_id") != NO_ID

    @property
    def missing_words(self) -> list[str]:
        """The words that stand for a missing value."""
        return []

    @property
    def zone_is_named(self) -> bool:
        """Whether the time zone was given rather than left at its default."""
        return "time_zone" in self.model_fields_set

    @field_validator("attributes")
    @classmethod
    def _free_names(cls, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        if taken := sorted(set(attributes) & RESERVED):
            raise ValueError(
                f"{', '.join(taken)} can't be names of attributes, the platform's tables use them; choose others"
            )
        return attributes

    @field_validator("event_times", mode="before")
    @classmethod
    def _one_event_each(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        words = [str(word).strip() for word in given]
        columns = [str(column) for column in given.values()]
        for values, kind in ((words, "type"), (columns, "column")):
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"the {kind} {twice[0]!r} stands twice; expected each {kind} once. Keep one of them")
        return given

    @field_validator("time_format")
    @classmethod
    def _no_name_of_a_zone(cls, pattern: str | None) -> str | None:
        if pattern is not None and "Z" in DIRECTIVE.findall(pattern):
            raise ValueError(
                f"{pattern!r} has %Z, the name of a zone, which does not say how far it is from UTC; expected %z, an offset like "
                "+0200, or times of one zone. Write offsets into the table, or leave the names out and set `time_zone`"
            )
        return pattern

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in _time_zones():
            raise ValueError(f"{name!r} is not a time zone; expected a name like Europe/Berlin")
        return name

    @field_validator("values")
    @classmethod
    def _one_writing(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for name, words in values.items():
            seen: dict[str, str] = {}
            for word in words:
                (written, *_) = writings(word)
                if seen.setdefault(written, word) != word:
                    raise ValueError(
                        f"`{name}` translates {seen[written]!r} and {word!r}, which are one word; keep one of them"
                    )
        return {name: {word: here.strip() for word, here in words.items()} for name, words in values.items()}

    @model_validator(mode="after")
    def _columns_of_their_own(self) -> Self:
        for one, other in (("amount", "refunded"), ("amount", "list_price"), ("refunded", "list_price")):
            if one in self.columns and self.columns[one] == self.columns.get(other):
                raise ValueError(
                    f"`{one}` and `{other}` are one column; expected two. Map the column that holds each, or leave one out"
                )
        if self.label is not None and self.label.column == self.columns.get("customer_id"):
            raise ValueError("`label.column` is the column of `customer_id`; expected the one that says who left")
        return self

    @model_validator(mode="after")
    def _two_marks(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"`decimal` and `thousands` are both {self.decimal!r}; expected two marks. Change one of them")
        return self

    @model_validator(mode="after")
    def _mapped_once(self) -> Self:
        if twice := sorted(set(self.columns) & set(self.constants)):
            raise ValueError(f"{', '.join(twice)} is given in `columns` and in `constants`; keep one of them")
        categories = {name for name, attribute in self.attributes.items() if attribute.kind == "category"}
        words = ({"event_type", "status", "treated", "channel", "offer"} & set(self.columns)) | categories
        if unknown := sorted(set(self.values) - words):
            raise ValueError(
                f"`values` names {', '.join(unknown)}; expected {', '.join(sorted(words)) or 'nothing'}: columns of words "
                "that are mapped"
            )
        return self


REQUIRED: "Mapping[Table, frozenset[str]]" = {
    "customers": frozenset({"customer_id", "signed_up"}),
    "events": frozenset({"customer_id", "event_type", "occurred"}),
    "payments": frozenset({"customer_id", "amount", "occurred"}),
    "treatments": frozenset({"customer_id", "occurred"}),
}
MAY_HAVE: "Mapping[Table, frozenset[str]]" = {
    "customers": frozenset({"occurred", "known"}),
    "events": frozenset({"event_id", "known", "value"}),
    "payments": frozenset({"payment_id", "status", "known", "due", "list_price", "refunded"}),
    "treatments": frozenset({"known", "channel", "offer", "treated", "propensity"}),
}
"""Canonical columns of a history's tables; data without time has only ``customer_id``."""


class MappedTables(Section):
    """A company's raw tables.

    ``shape: history`` has ``events`` or ``payments`` or both, and ``customers`` or none: then they are derived from those. It may have
    ``treatments``, which say who was called or given an offer.
    ``shape: table`` has only ``customers``, with a label column and no time.
    """

    shape: Literal["history", "table"] = "history"
    start: date | None = Field(None, description="the first day with data; needed for a history")

    def described(self, table: "Table") -> MappedTable | None:
        """The description of a table; ``None`` where the company has no such table."""
        found: MappedTable | None = getattr(self, table)
        return found

    @model_validator(mode="after")
    def _tables_fit_the_shape(self) -> Self:
        customers = self.described("customers")
        acts = [table for table in (self.described("events"), self.described("payments")) if table is not None]
        if self.shape == "table":
            if customers is None or customers.label is None or acts:
                raise ValueError("shape `table` needs `customers` with a `label`, and neither `events` nor `payments`")
            if self.described("treatments") is not None:
                raise ValueError(
                    "`treatments` need times, which shape `table` does not have; expected shape `history`. Leave them out"
                )
            _refuse_unfit("customers", customers, frozenset({"customer_id"}), frozenset(), is_only=True)
            return self
        if not acts:
            raise ValueError("shape `history` needs `events` or `payments`; one table with a label is shape `table`")
        if self.start is None:
            raise ValueError("shape `history` needs `start`, the first day with data")
        if customers is not None and customers.label is not None:
            raise ValueError("a `label` column belongs to shape `table`; a history's label is defined in `label:`")
        for name in REQUIRED:
            if (table := self.described(name)) is not None:
                _refuse_unfit(name, table, REQUIRED[name], MAY_HAVE[name])
        return self

    @property
    def tables(self) -> "tuple[Table, ...]":
        """The raw tables that features and labels are made of; customers are derived where there is no table of them."""
        acts: tuple[Table, ...] = ("events", "payments")
        return ("customers", *(name for name in acts if self.described(name) is not None))

    @property
    def raw_tables(self) -> "tuple[Table, ...]":
        """All raw tables that the graph has."""
        return (*self.tables, "treatments") if self.described("treatments") is not None else self.tables


def _refuse_unfit(
    name: "Table", table: MappedTable, required: frozenset[str], optional: frozenset[str], *, is_only: bool = False
) -> None:
    given = {*table.columns, *table.constants}
    if table.event_times:
        if name != "events":
            raise ValueError(f"`event_times` belongs to `events`, not to `{name}`")
        if both := sorted(given & {"event_id", "event_type", "occurred"}):
            raise ValueError(
                f"`events` has `event_times` and maps {', '.join(both)}; expected one of them. A row is an event of each type in "
                "`event_times`, at the time in its column"
            )
        given |= {"event_type", "occurred"}
    if table.aggregated_by is not None and name in ("customers", "treatments"):
        raise ValueError(f"`aggregated_by` belongs to `events` and `payments`, not to `{name}`")
    if name != "customers" and (table.attributes or table.label):
        raise ValueError(f"`attributes` and `label` belong to `customers`, not to `{name}`")
    if missing := required - given:
        without = (
            f". Where the table has no ids write `customer_id: {NO_ID}`: they are then digests of the attributes"
            if is_only and "customer_id" in missing
            else ""
        )
        raise ValueError(f"`{name}.columns` must map {', '.join(sorted(missing))}{without}")
    if not is_only and not table.has_ids:
        raise ValueError(f"`{name}.columns` has `customer_id: {NO_ID}`; expected a column, as a history joins tables by it")
    if table.currency is not None and "amount" not in table.columns:
        raise ValueError(f"`currency` belongs to `payments`, not to `{name}`")
    if unknown := given - required - optional:
        raise ValueError(
            f"`{name}.columns` maps unknown {', '.join(sorted(unknown))}; expected {', '.join(sorted(required | optional))}"
        )
    if ("value" in given) != (table.value_unit is not None) or (table.value_decimals and table.value_unit is None):
        raise ValueError(
            f"`{name}.columns` maps `value`, and nothing says what it counts; write its unit, such as `value_unit: seconds`"
            if "value" in given
            else f"`{name}` has `value_unit` or `value_decimals`, and no `value` is mapped; map it in the `columns` of `events`, or leave "
            "them out"
        )
