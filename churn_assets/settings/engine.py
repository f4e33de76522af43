"""The settings ``engine`` and ``spark`` of ``churn.yaml``: where features are computed."""

from typing import Literal

from pydantic import Field

from churn_store.settings import Section

EngineName = Literal["polars", "spark"]


class Spark(Section):
    """Where features are computed, for ``engine: spark``."""

    master: str = Field("local[*]", description="of the Spark cluster, such as spark://host:7077")
    options: dict[str, str] = Field({}, description="further settings of the session, such as spark.executor.memory")
