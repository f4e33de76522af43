"""The commands of the asset graph."""
