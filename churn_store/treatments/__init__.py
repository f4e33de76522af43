"""Treatments: who was called or given an offer, and who was held out on purpose."""
