"""Monitoring: whether the present data still resembles the data that the model was trained on."""
