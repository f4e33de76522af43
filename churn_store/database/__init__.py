"""The serving database: its schema and migrations."""
