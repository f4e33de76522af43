"""The two lines that stand in the history for ever: what they may hold."""

from collections.abc import Callable

import pytest

from churn_store.errors import InputError
from churn_store.releases.attribution import LONGEST_NAME, LONGEST_REASON, require_name, require_reason

UNSEEN = {
    "an escape": "ada\x1b[2J",
    "a zero byte": "a\x00b",
    "a delete": "ada\x7f",
    "right to left": "ada\u202egnp",
    "zero width alone": "\u200b\u200b",
    "a byte that is no text": "\udcff",
    "a private letter": "\ue000",
}


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN)
def test_what_cannot_be_shown_is_refused_by_its_number(text: str) -> None:
    for required in (require_name, require_reason):
        with pytest.raises(InputError, match=r"holds U\+[0-9A-F]{4}"):
            required(text)


@pytest.mark.parametrize("text", ["", " ", "\n", "\u00a0", "...", "\u3164", "\u115f\u1160", "\u0301"])
def test_a_line_with_nothing_to_be_read_is_none(text: str) -> None:
    with pytest.raises(InputError, match="no name was given; expected one line with a letter or a digit"):
        require_name(text)
    with pytest.raises(InputError, match="no reason was given"):
        require_reason(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [(" Ada\tL.\n", "Ada L."), ("a\u00a0b", "a b"), ("Åsa Öz 李 7", "Åsa Öz 李 7"), ("why? 👍", "why? 👍")],
)
def test_white_space_is_one_space_and_every_script_is_welcome(text: str, line: str) -> None:
    assert require_name(text) == line == require_reason(text)


@pytest.mark.parametrize(("required", "at_most"), [(require_name, LONGEST_NAME), (require_reason, LONGEST_REASON)])
def test_a_line_has_an_end(required: Callable[[str], str], at_most: int) -> None:
    assert required("a" * at_most) == "a" * at_most
    with pytest.raises(InputError, match=f"has {at_most + 1} letters; expected at most {at_most}"):
        required("a" * (at_most + 1))
