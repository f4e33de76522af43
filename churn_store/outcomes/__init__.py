"""What became of customers: outcomes by version, and how they meet the predictions."""
