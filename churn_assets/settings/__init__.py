"""The settings of the graph in churn.yaml."""
