"""Whether the service works: health for machines and people, and the metrics."""
