"""Treatments as the graph reads them: who was treated in a label's window, and how much each of the others counts."""
