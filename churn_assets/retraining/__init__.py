"""What happens by itself: which periods are due, and when a retraining is asked for."""
