"""Answers of customers to surveys over HTTP."""
