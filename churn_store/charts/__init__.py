"""Charts as SVG, for the graph and the service."""
