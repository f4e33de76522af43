"""Health of the service for machines and people, and its metrics."""
