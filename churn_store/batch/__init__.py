"""Scoring a file with the release that serves."""
