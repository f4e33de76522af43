"""What is going to be written into churn.yaml, with the reason for each line and the questions that remain.

Belongs here: the values that the other modules fill in and ``rendering`` writes. Does not belong here: decisions.
"""

from dataclasses import dataclass, field
from typing import Any

from churn_store.mapping.tables import Table


@dataclass(frozen=True)
class Question:
    """Something that a person knows and the data does not say.

    Attributes:
        text: what is not sure, with what was taken.
        line: the line of churn.yaml to change, as it would be otherwise.
    """

    text: str
    line: str


@dataclass
class TableDraft:
    """A section ``source.<table>``.

    Attributes:
        described: where it lies and how it is written, as in churn.yaml, and everything but the columns.
        columns: column by canonical name.
        attributes: description of each attribute by name.
        label: description of the label column; empty without one.
        why: remarks by name of a setting or canonical column.
        left_out: reason by column that is not mapped.
    """

    described: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    label: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The section as plain values."""
        section: dict[str, Any] = {**self.described, "columns": dict(self.columns)}
        if self.label:
            section["label"] = dict(self.label)
        if self.attributes:
            section["attributes"] = {name: dict(attribute) for name, attribute in self.attributes.items()}
        return section


@dataclass
class Draft:
    """A whole churn.yaml.

    Attributes:
        company: name of the company.
        cadence: distance of snapshots; empty for the default.
        source: settings of the section ``source`` besides its tables.
        tables: its tables.
        sections: the other sections.
        why: remarks by section, or by section and name with a point between.
        questions: what a person must decide, the most important first.
        unused: reason by table that is not used.
    """

    company: str
    cadence: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    tables: dict[Table, TableDraft] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)

    def ask(self, text: str, line: str) -> None:
        """Add a question."""
        self.questions.append(Question(text, line))

    def content(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "company": self.company,
            **({"cadence": self.cadence} if self.cadence else {}),
            "source": {**self.source, **{name: table.content() for name, table in self.tables.items()}},
            **self.sections,
        }
