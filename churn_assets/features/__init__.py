"""Features and labels: what is known of each customer at risk at a snapshot, and who left after it."""
