"""`churn quality`: what is broken in the data, and what a person takes for real."""
