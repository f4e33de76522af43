"""`churn data`: earlier versions of the lake's tables, training sets made again, an older lake brought up to date."""
