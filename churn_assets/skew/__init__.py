"""Skew: whether the service answers what the batch path answers, by logged requests that are replayed."""
