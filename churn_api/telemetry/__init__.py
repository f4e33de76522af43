"""What the service says of itself: metrics, log lines, and the record of every prediction."""
