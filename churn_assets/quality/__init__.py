"""Quality: whether a period's data is broken, which blocks it, and not only changed, which is drift."""
