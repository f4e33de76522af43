"""Reads YAML so that a company's own words stay the text they are written as.

In YAML, ``Yes``, ``No``, ``1``, ``NULL`` and ``2024-01-01`` without quotes are a truth value, a number, nothing and a date. In places
that hold words of the company's tables they are taken as text.

Belongs here: text of YAML to plain values. Does not belong here: what the values may be (``settings``).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

TEXT_TAG, NULL_TAG = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"

ANY = "*"

WORDS: tuple[tuple[str, ...], ...] = (
    ("source", ANY, "label", "churned"),
    ("source", ANY, "label", "stayed"),
    ("source", ANY, "label", "unknown"),
    ("source", ANY, "values", ANY, ANY),
    ("source", ANY, "missing", ANY),
)
"""Places of words, of which none may be absent: there ``NULL`` is a word as well. An item of a list is any."""

NAMES: tuple[tuple[str, ...], ...] = (
    ("source", ANY, "columns", ANY),
    ("source", ANY, "constants", ANY),
    ("source", ANY, "label", "column"),
    ("source", ANY, "attributes", ANY, "column"),
    ("source", ANY, "currency", "column"),
    ("source", ANY, "currency", "keep"),
    ("source", ANY, "ids", "strip"),
    ("source", ANY, "separator"),
    ("source", ANY, "decimal"),
    ("source", ANY, "thousands"),
    ("source", ANY, "time_format"),
    ("source", ANY, "time_zone"),
    ("events", "roles", ANY),
    ("events", "roles", ANY, ANY),
    ("label", "event"),
    ("label", "event", ANY),
    ("at_risk", "cancelled_event"),
    ("at_risk", "cancelled_event", ANY),
)
"""Places of names and words that may be absent: there ``null`` is nothing."""


def load(text: str) -> Any:
    """The content of a YAML document as plain values.

    Raises:
        yaml.YAMLError: if it is no YAML, or a mapping has a name twice.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _take_words(root, ())
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _take_words(node: yaml.Node, place: tuple[str, ...]) -> None:
    if isinstance(node, yaml.ScalarNode):
        _take_as_text(node, place)
        return
    for name, child in _children(node):
        if name is not None and _fits((*place, ANY), WORDS):
            _take_as_text(name, (*place, ANY))
        _take_words(child, (*place, ANY if name is None else str(name.value)))


def _children(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode | None, yaml.Node]]:
    """The values of a mapping with their names, or the items of a list."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            if name.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the name {name.value} stands twice in one section", name.start_mark
                )
            seen.add(name.value)
            yield name, value
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield None, item


def _take_as_text(node: yaml.ScalarNode, place: Sequence[str]) -> None:
    is_plain = node.style is None and node.tag != TEXT_TAG
    if is_plain and (_fits(place, WORDS) or (node.tag != NULL_TAG and _fits(place, NAMES))):
        node.tag = TEXT_TAG


def _fits(place: Sequence[str], patterns: Sequence[Sequence[str]]) -> bool:
    return any(
        len(place) == len(pattern) and all(want in (ANY, part) for part, want in zip(place, pattern, strict=True))
        for pattern in patterns
    )
