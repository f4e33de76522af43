"""The synthetic company, whose best possible model is known."""
