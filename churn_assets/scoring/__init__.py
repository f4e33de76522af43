"""The newest snapshot, scored by the release that serves, and handed to the service."""
