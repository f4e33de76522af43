"""Whether a company's tables fit, said before anything runs: what the source holds, what would be set aside, how many churn."""
