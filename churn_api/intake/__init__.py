"""Intake: what outcomes and treatments share, from a body of many rows to one commit."""
