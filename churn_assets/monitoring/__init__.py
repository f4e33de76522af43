"""Whether what the model sees now is still what it was trained on."""
