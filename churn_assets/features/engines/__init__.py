"""The engines that compute the catalogue's features: Polars in this process, or Spark."""
