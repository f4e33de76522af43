"""The pages that the graph publishes for people."""
