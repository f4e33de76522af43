"""Opens the feature engine that a company has chosen."""

from churn_assets.features.engines.base import Engine
from churn_assets.settings.engine import EngineName, Spark


def open_engine(name: EngineName, spark: Spark) -> Engine:
    """The engine that ``churn.yaml`` names; ``spark`` holds the settings of Spark. Nothing starts before the first snapshot."""
    if name == "spark":
        from churn_assets.features.engines.spark_engine import SparkEngine  # noqa: PLC0415 - an extra, and slow to import

        return SparkEngine(spark)
    from churn_assets.features.engines.polars_engine import PolarsEngine  # noqa: PLC0415 - only the engine that is used

    return PolarsEngine()
