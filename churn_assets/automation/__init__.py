"""What starts by itself and in which order: jobs, schedules, the retraining sensor."""
