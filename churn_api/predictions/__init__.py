"""From a request to a probability: decode, look up, score, decide, log, answer."""
