"""What customers answered to surveys: evidence for features, never a label."""
