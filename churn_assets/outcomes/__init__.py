"""What became of customers, where the service reads it."""
