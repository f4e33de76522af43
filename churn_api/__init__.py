"""The prediction service: serves the release that the asset graph published. Imports nothing of the graph."""
