"""Where the plain modules meet Dagster: writing tables, reading the run history, partitions."""
