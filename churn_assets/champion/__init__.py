"""From fitted families to the model that serves: the candidate, the gate, the release."""
