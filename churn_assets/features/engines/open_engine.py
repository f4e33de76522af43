"""Opens the feature engine that a company has chosen."""

from churn_assets.features.engines.base import Engine
from churn_assets.settings.company import Settings


def open_engine(settings: Settings) -> Engine:
    """The engine that ``churn.yaml`` names. Nothing starts before the first snapshot is asked for."""
    if settings.engine == "spark":
        from churn_assets.features.engines.spark_engine import SparkEngine  # noqa: PLC0415 - an extra, and slow to import

        return SparkEngine(settings.spark)
    from churn_assets.features.engines.polars_engine import PolarsEngine  # noqa: PLC0415 - only the engine that is used

    return PolarsEngine()
