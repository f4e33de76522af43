"""`churn init`: a company's data is looked at, and churn.yaml is written from what was seen."""
