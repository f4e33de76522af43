"""Scoring a file by the release that serves."""
