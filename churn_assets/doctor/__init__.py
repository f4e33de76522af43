"""`churn doctor`: checks whether the set-up works, with one probe for each part, and says what to do if it does not."""
