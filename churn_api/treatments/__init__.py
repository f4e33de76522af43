"""Treatments: the intake of who was treated and who was held out."""
