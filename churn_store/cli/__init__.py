"""The command `churn` and its groups on releases."""
