"""Scores the newest snapshot with the serving release, and hands its features to the service."""
