"""Validation of rows against the release that serves, before predictions are asked for: faults and distributions."""
