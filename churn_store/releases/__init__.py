"""Releases: files, verdicts, and the log of what serves."""
