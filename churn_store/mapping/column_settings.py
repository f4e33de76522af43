"""How single columns of a company's tables are described in ``churn.yaml``: attributes, the label, currencies, ids.

Belongs here: descriptions of one column. Does not belong here: tables and how their columns fit together (``mapping.settings``).
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from churn_store.settings import Section


class Attribute(Section):
    """A column with an attribute of a customer, which becomes a feature."""

    column: str = Field(description="its name in the table")
    kind: Literal["number", "category"] = Field(description="`number` or `category`")
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    unit: str = ""
    description: str = ""


class LabelColumn(Section):
    """The column of data without time that says who churned."""

    column: str = Field(description="its name in the table")
    churned: str = Field("Yes", description="the word for a customer who left")
    stayed: str = Field("No", description="the word for a customer who stayed")
    unknown: str | None = Field(
        None,
        description='the word for one of today\'s customers, of whom nobody knows yet; "" where nothing is written. Such rows are '
        "scored, and neither trained nor judged on; default: every row must have a label",
    )

    @model_validator(mode="after")
    def _words_differ(self) -> Self:
        if self.churned.strip() == self.stayed.strip():
            raise ValueError(
                f"`churned` and `stayed` are both {self.churned!r}; expected two words. Write the one for who left and the one "
                "for who stayed"
            )
        if self.unknown is not None and self.unknown.strip() in (self.churned.strip(), self.stayed.strip()):
            same = "churned" if self.unknown.strip() == self.churned.strip() else "stayed"
            raise ValueError(
                f"`unknown` and `{same}` are both {self.unknown!r}; expected a word of its own for customers without a label, or no "
                "`unknown` where every row has one"
            )
        return self


class Currency(Section):
    """The column of payments that says in which currency an amount is."""

    column: str = Field(description="its name in the table")
    keep: str | None = Field(None, description="only payments in this currency are read, the others are counted")
    is_converted: bool = Field(False, description="the amounts are all in one currency, whatever the column says")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.keep is not None and self.is_converted:
            raise ValueError("`keep` chooses among currencies, and `is_converted` says that there is one; keep one of them")
        return self


class Ids(Section):
    """How the ids of customers are rewritten, so that those of two tables are the same."""

    pad: int | None = Field(None, gt=0, le=64, description="zeros are put before ids with fewer characters than this")
    strip: Literal["0"] | None = Field(None, description='`"0"`: zeros at the beginning are dropped')

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.pad is None) == (self.strip is None):
            raise ValueError("expected either `pad`, a number of characters, or `strip`, the character 0")
        return self
