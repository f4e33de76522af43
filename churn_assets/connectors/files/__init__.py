"""Raw tables from CSV and Parquet files."""
