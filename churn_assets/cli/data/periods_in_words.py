"""Periods on a screen."""


def in_words(periods: tuple[str, ...]) -> str:
    """Periods in few words."""
    if len(periods) <= 3:  # noqa: PLR2004
        return ", ".join(sorted(periods)) or "no period"
    return f"{min(periods)} to {max(periods)}, {len(periods)} periods"
