"""`churn validate`: checks whether a company's tables fit, before anything is written."""
