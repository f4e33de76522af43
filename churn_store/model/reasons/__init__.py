"""Reasons of a prediction: what each group of attributes adds to the log odds, against one reference row."""
