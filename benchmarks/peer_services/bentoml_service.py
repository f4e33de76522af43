"""BentoML's service around the scikit-learn pipeline."""

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1, metrics={"enabled": True})
class Churn:
    """One model."""

    def __init__(self) -> None:
        saved = joblib.load(os.environ["PEER_MODEL"])
        self.columns, self.pipeline = saved["columns"], saved["pipeline"]

    @bentoml.api
    def predict(self, customer_id: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """A customer's probability."""
        frame = pd.DataFrame([attributes])[self.columns]
        probability = float(self.pipeline.predict_proba(frame)[0, 1])
        return {"customer_id": customer_id, "probability": probability, "churn": probability >= 0.5}
