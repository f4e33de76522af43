"""`churn validate`: whether tables fit, before anything is written."""
