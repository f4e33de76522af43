"""The layer between the plain modules and Dagster: writing tables, reading the run history, partitions."""
