"""Which of several forms of an answer a caller asks for, by its header Accept (RFC 9110, section 12.5.1).

Belongs here: the header. Does not belong here: the forms (``predictions.streamed``).
"""

from collections.abc import Mapping, Sequence

from litestar.types import Scope


def preferred(scope: Scope, forms: Mapping[str, str]) -> str:
    """The form that a caller likes best; the first one if it likes several as much, none of them, or does not say.

    Args:
        scope: scope of the request.
        forms: forms by media type, the default first.
    """
    default = next(iter(forms.values()))
    said = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1").lower()
    if not said:
        return default
    best, liked = default, 0.0
    ranges = [_range(part.split(";")) for part in said.split(",")]
    for media_type, form in forms.items():
        weight = _weight(media_type, ranges)
        if weight > liked:
            best, liked = form, weight
    return best


def _range(parts: Sequence[str]) -> tuple[str, float]:
    """A media range and its weight; 0 where the weight can't be read."""
    weight = next((part.strip()[2:] for part in parts[1:] if part.strip().startswith("q=")), "1")
    try:
        return parts[0].strip(), min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return parts[0].strip(), 0.0


def _weight(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of a media type, by the most exact range that holds it."""
    by_range = dict(reversed(ranges))
    for holds in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if holds in by_range:
            return by_range[holds]
    return 0.0
