"""Reasons of predictions over HTTP."""
