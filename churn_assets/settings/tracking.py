"""The section ``tracking`` of ``churn.yaml``: the MLflow server."""

from pydantic import Field

from churn_store.settings import Section


class Tracking(Section):
    """MLflow."""

    uri: str = Field("", description="tracking server; default: SQLite in `home`")
    experiment: str = "churn"
    model_name: str = "churn"
