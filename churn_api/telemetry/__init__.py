"""What the service records: metrics, log lines, and every prediction."""
