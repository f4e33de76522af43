"""What churn.yaml may say of the graph."""
