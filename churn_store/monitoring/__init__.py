"""Monitoring: what graph and service share of drift, quality and performance: the pinned baselines and the published facts."""
