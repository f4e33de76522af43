"""Whether the set-up works: one probe for each part, and what to do where it does not."""
