"""MLServer's runtime of one's own: the scikit-learn pipeline behind the V2 protocol, a frame of pandas for each request."""

import os

import joblib
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Churn(MLModel):
    """One model."""

    async def load(self) -> bool:
        """Read the pipeline."""
        saved = joblib.load(os.environ["PEER_MODEL"])
        self._columns, self._pipeline = saved["columns"], saved["pipeline"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities, one a row."""
        frame = PandasCodec.decode_request(payload)[self._columns]
        found = self._pipeline.predict_proba(frame)[:, 1]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", found)])
