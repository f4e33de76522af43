"""The description of the service for people and programs."""
