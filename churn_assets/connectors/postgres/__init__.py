"""Raw tables from a PostgreSQL database."""
