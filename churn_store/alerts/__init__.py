"""Alerts: what people must hear of, one for each cause, open until it is over."""
