"""Performance: whether the released model is still right, by labels that are mature."""
