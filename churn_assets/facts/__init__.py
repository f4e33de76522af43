"""What the graph has found out, published as one file for the service."""
