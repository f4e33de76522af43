"""Writes a draft as the text of churn.yaml, with comments and with the questions at the top.

Belongs here: YAML as text. Does not belong here: what stands in it (``draft``).
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from churn_assets.inspection.draft import Draft, TableDraft
from churn_store.redaction import in_yaml

WIDTH = 110


def rendered(draft: Draft, *, looked_at: str) -> str:
    """The text of churn.yaml."""
    return "\n".join([*_head(draft, looked_at), "", *_body(draft)]) + "\n"


def _head(draft: Draft, looked_at: str) -> Iterator[str]:
    yield from _comment(
        f"Written by `churn init` from {looked_at}. Every line may be changed; `churn validate` says what it makes of the data."
    )
    if not draft.questions:
        return
    yield "#"
    yield f"# {_counted(len(draft.questions), 'question')} that only you can answer. Below each, the line as it would be otherwise:"
    for number, question in enumerate(draft.questions, start=1):
        yield from _comment(f"{number}. {question.text}", hanging="   ")
        yield f"#    {question.line}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _body(draft: Draft) -> Iterator[str]:
    yield f"company: {draft.company}"
    if draft.cadence:
        yield f"cadence: {draft.cadence}  # the history is too short for months"
    yield ""
    yield "source:"
    for name, value in draft.source.items():
        yield from _line(name, value, 2, draft.why.get(f"source.{name}", ""))
    for name, table in draft.tables.items():
        yield ""
        yield from _table(name, table)
    if draft.unused:
        yield ""
        yield "  # Tables that are not used:"
        for name, reason in draft.unused.items():
            yield from _comment(f"{name}: {reason}", indent=2, hanging="  ", first="  ")
    for name, section in draft.sections.items():
        yield ""
        yield from _comment(draft.why[name]) if name in draft.why else ()
        yield from _section(name, section, draft)


def _section(name: str, section: Mapping[str, Any], draft: Draft) -> Iterator[str]:
    yield f"{name}:"
    for key, value in section.items():
        yield from _line(key, value, 2, draft.why.get(f"{name}.{key}", ""))


def _table(name: str, table: TableDraft) -> Iterator[str]:
    yield f"  {name}:"
    if "table" in table.why:
        yield from _comment(table.why["table"], indent=4)
    for key, value in table.described.items():
        yield from _line(key, value, 4, table.why.get(key, ""))
    yield "    columns:"
    width = max(len(f"{key}: {in_yaml(value)}") for key, value in table.columns.items())
    for key, value in table.columns.items():
        written = f"{key}: {in_yaml(value)}"
        remark = table.why.get(key, "")
        yield f"      {written:<{width}}  # {remark}" if remark else f"      {written}"
    if table.label:
        remark = f"  # {table.why['label']}" if "label" in table.why else ""
        yield f"    label: {_flow(table.label)}{remark}"
    if table.attributes:
        yield "    attributes:"
        for key, attribute in table.attributes.items():
            yield f"      {key}: {_flow(attribute)}"
    if table.left_out:
        yield "    # Columns that are left out:"
        for column, reason in table.left_out.items():
            yield from _comment(f"{_printable(column)}: {reason}", indent=4, hanging="  ", first="  ")


def _line(name: str, value: Any, indent: int, remark: str = "") -> Iterator[str]:
    blanks = " " * indent
    if isinstance(value, Mapping) and not _is_short(value):
        yield f"{blanks}{name}:" + (f"  # {remark}" if remark else "")
        for key, inner in value.items():
            yield from _line(in_yaml(str(key)), inner, indent + 2)
        return
    yield f"{blanks}{name}: {_flow(value)}" + (f"  # {remark}" if remark else "")


def _is_short(value: Mapping[str, Any]) -> bool:
    return len(_flow(value)) <= WIDTH - 20


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{in_yaml(str(key))}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return in_yaml(value) if isinstance(value, str) else str(value)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name)


def _comment(text: str, *, indent: int = 0, hanging: str = "", first: str = "") -> list[str]:
    blanks = " " * indent
    return textwrap.wrap(
        _printable(text), WIDTH, initial_indent=f"{blanks}# {first}", subsequent_indent=f"{blanks}# {first}{hanging}", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
