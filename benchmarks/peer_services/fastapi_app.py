"""The stack that most tutorials end with: FastAPI, a scikit-learn pipeline, a pandas frame for each request."""

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

saved = joblib.load(os.environ["PEER_MODEL"])
columns, pipeline = saved["columns"], saved["pipeline"]
app = FastAPI()


class Request(BaseModel):
    """Attributes of one customer."""

    customer_id: str
    attributes: dict[str, Any]


class Batch(BaseModel):
    """Attributes of many customers."""

    instances: list[Request]


def probabilities(rows: list[dict[str, Any]]) -> list[float]:
    """One a row."""
    frame = pd.DataFrame(rows)[columns]
    return pipeline.predict_proba(frame)[:, 1].tolist()


@app.get("/health")
def health() -> dict[str, str]:
    """Whether the model is loaded."""
    return {"status": "ready"}


@app.post("/predict")
def predict(request: Request) -> dict[str, Any]:
    """A customer's probability."""
    [probability] = probabilities([request.attributes])
    return {"customer_id": request.customer_id, "probability": probability, "churn": probability >= 0.5}


@app.post("/predict/batch")
def predict_batch(batch: Batch) -> dict[str, Any]:
    """Many customers' probabilities."""
    return {"probabilities": probabilities([one.attributes for one in batch.instances])}
