"""The types of requests and answers."""
