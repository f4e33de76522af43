"""A model's inputs: names, types, ranges and categories; the decoder and the schema that follow from them.

Belongs here: what a row of inputs is, and how a row of JSON or of a frame becomes the two tensors that the model takes.
Does not belong here: what a feature means or how it is computed (``churn_assets.features.catalogue``).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn_store.model.words import writings

if TYPE_CHECKING:
    import polars as pl

FLOAT32_MAX = float(np.finfo(np.float32).max)

MISSING_CATEGORY = ""
"""Text that replaces a missing one before it reaches a model; ONNX has no missing text."""


Picker = Callable[[Any], tuple[Any, ...]]


def picker(keys: Sequence[Any]) -> Picker:
    """A function that takes the items at some keys or positions, in that order, as a tuple."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda items: tuple(items[key] for key in keys)


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a model.

    Attributes:
        kind: ``number`` (32-bit float) or ``category`` (text).
        nullable: whether a missing value is an answer ("no ticket yet") rather than a mistake.
        low: smallest allowed number, in the column's unit; ``None`` for no bound.
        high: largest allowed number; ``None`` for no bound.
        categories: values that training saw; any other value is scored as unknown.
    """

    name: str
    kind: Literal["number", "category"]
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    unit: str = ""
    description: str = ""


def trained_words(column: Column) -> dict[str, str]:
    """The word that training saw for each that the lake writes in another way now.

    A release of an older version of how words are written goes on with the words that it knows.
    """
    found: dict[str, str] = {}
    for word in column.categories:
        for written in writings(word):
            if written not in column.categories:
                found.setdefault(written, word)
    return found


MOST_COLUMNS = 2_000
"""Most inputs of a model; each one costs every request, and no model here has as many."""


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The inputs of a model, in order: first the numbers' tensor, then the categories'."""

    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=MOST_COLUMNS)]

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Names of the first tensor's columns."""
        return tuple(column.name for column in self.columns if column.kind == "number")

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Names of the second tensor's columns."""
        return tuple(column.name for column in self.columns if column.kind == "category")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of ``columns``."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def asked_for(self) -> tuple[Column, ...]:
        """The columns reduced to what decides which rows fit: signatures with equal values take the same rows.

        The categories that training saw are left out, as any other is scored as unknown; so are the descriptions.
        """
        return tuple(msgspec.structs.replace(column, categories=(), description="") for column in self.columns)

    @cached_property
    def attributes(self) -> type[msgspec.Struct]:
        """A struct type with one field a column: decoding into it checks presence, type and range."""
        return msgspec.defstruct(
            "Attributes",
            [(field, _annotation(column)) for field, column in zip(self._fields, self.columns, strict=True)],
            rename=dict(zip(self._fields, self.names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )

    def row(self, attributes: msgspec.Struct) -> dict[str, Any]:
        """The values decoded into ``attributes``, by column name."""
        return dict(zip(self.names, msgspec.structs.astuple(attributes), strict=True))

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        """A valid Python name for each column: a company's column may have any name, a struct's field may not."""
        return tuple(
            name if name.isidentifier() and not name.startswith("_") else f"_{position}"
            for position, name in enumerate(self.names)
        )

    def unknown_categories(self, row: Mapping[str, Any]) -> list[str]:
        """Names of the columns whose value training never saw, in a row of plain values."""
        return [name for name, words in self._words if row[name] is not None and row[name] not in words]

    def missing(self, row: Mapping[str, Any]) -> list[str]:
        """Names of the columns without a value, in a row of plain values."""
        return [name for name in self.names if row[name] is None] if None in row.values() else []

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the columns that the model was not trained to do without."""
        return frozenset(column.name for column in self.columns if not column.nullable)

    @cached_property
    def trained_words(self) -> dict[str, dict[str, str]]:
        """``trained_words`` of the columns that have any."""
        found = {column.name: trained_words(column) for column in self.columns}
        return {name: words for name, words in found.items() if words}

    def as_trained(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """A frame with the words that training saw, where the lake writes them in another way now."""
        return frame.with_columns(frame[name].replace(words) for name, words in self.trained_words.items())

    @cached_property
    def _words(self) -> tuple[tuple[str, frozenset[str]], ...]:
        return tuple(
            (column.name, frozenset([*column.categories, *self.trained_words.get(column.name, ())]))
            for column in self.columns
            if column.kind == "category"
        )

    def tensors(self, rows: list[dict[str, Any]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.object_]]:
        """Rows of plain values as the model's two tensors: float32 ``[n, numbers]`` and text ``[n, categories]``."""
        pick_numbers, pick_categories = self._pickers
        if self.trained_words:
            rows = [self._as_trained(row) for row in rows]
        numbers = np.array([pick_numbers(row) for row in rows], dtype=np.float32)  # None becomes not-a-number
        categories = np.array(
            [[MISSING_CATEGORY if word is None else word for word in pick_categories(row)] for row in rows], dtype=object
        )
        return numbers.reshape(len(rows), len(self.numbers)), categories.reshape(len(rows), len(self.categories))

    def _as_trained(self, row: dict[str, Any]) -> dict[str, Any]:
        known = ((name, words[row[name]]) for name, words in self.trained_words.items() if row[name] in words)
        return {**row, **dict(known)}

    @cached_property
    def _pickers(self) -> tuple[Picker, Picker]:
        return picker(self.numbers), picker(self.categories)

    def frame_tensors(self, frame: "pl.DataFrame") -> tuple[npt.NDArray[np.float32], npt.NDArray[np.object_]]:
        """A frame's columns as the model's two tensors, as ``tensors`` gives them."""
        numbers = np.column_stack(
            [frame[name].cast(float).fill_null(np.nan).to_numpy().astype(np.float32) for name in self.numbers]
            or [np.empty((frame.height, 0), dtype=np.float32)]
        )
        categories = np.column_stack(
            [
                frame[name].replace(self.trained_words.get(name, {})).fill_null(MISSING_CATEGORY).to_numpy().astype(object)
                for name in self.categories
            ]
            or [np.empty((frame.height, 0), dtype=object)]
        )
        return numbers, categories


def _annotation(column: Column) -> Any:
    description = column.description + (f" ({column.unit})" if column.unit else "")
    if column.kind == "category":
        examples = [word for word in column.categories if word != MISSING_CATEGORY]
        without_nul = {"pattern": "^[^\\x00]*$"}  # for the document alone: a pattern costs every request
        kind: Any = Annotated[
            str,
            msgspec.Meta(max_length=256, description=description, examples=examples, extra_json_schema=without_nul),
        ]
    else:
        kind = Annotated[
            float,
            msgspec.Meta(
                ge=-FLOAT32_MAX if column.low is None else column.low,
                le=FLOAT32_MAX if column.high is None else column.high,
                description=description,
            ),
        ]
    return kind | None if column.nullable else kind
