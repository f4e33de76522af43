"""How words of a company's tables are written in the lake, and the version of that rule.

One word may come in several writings: with blanks around it, or as a number with and without decimals. In the lake it has one.

Belongs here: the rule and its version. Does not belong here: reading tables (``churn_store.mapping``).
"""

import re

NORMALISATION = 2
"""The version of the rule. 1, of lakes and releases before platform version 0.2: words are as the file or the database wrote them.
2: blanks around a word and zeros after the point of a whole number are dropped."""

WHOLE_NUMBER = r"^([+-]?\d+)\.0+$"
"""A whole number with decimals; the group is the number without them."""

DECIMALS = r"^([+-]?\d+)(?:\.0*|(\.\d*?[1-9])0*)$"
"""A number with a decimal point, and perhaps with zeros at its end; the groups are the number without them."""


def writings(word: str) -> tuple[str, ...]:
    """The ways in which version 2 may write a word of version 1, the most likely first.

    A word of a column of numbers loses all zeros at the end of its decimals, another one only those of a whole number.
    """
    stripped = word.strip()
    whole = re.sub(WHOLE_NUMBER, r"\1", stripped)
    short = re.sub(DECIMALS, lambda match: match.group(1) + (match.group(2) or ""), stripped)
    return tuple(dict.fromkeys((whole, short)))
