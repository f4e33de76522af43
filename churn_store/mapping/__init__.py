"""A company's file as canonical columns: how `churn` and the service read it."""
