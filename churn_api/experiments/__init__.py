"""Experiments by HTTP: planned, started, read and stopped."""
