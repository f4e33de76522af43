"""The one code that turns rows into probabilities: through the ONNX model of a verified release.

The gate, batch scoring and the service all score here. scikit-learn predicts only where the export is compared with it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from churn_store.errors import ReleaseError
from churn_store.model.onnx_allowlist import require_plain
from churn_store.model.signature import Signature

if TYPE_CHECKING:
    import polars as pl

NUMBERS, CATEGORIES, PROBABILITIES = "numbers", "categories", "probabilities"
"""Names of the model's two inputs and of its output."""


class Scorer:
    """An ONNX model: rows of the signature's columns to the probability of churn.

    Args:
        model: content of ``model.onnx``.
        signature: inputs of the model.

    Raises:
        ReleaseError: if the model holds something forbidden, can't be loaded, or takes other inputs than the signature says.
    """

    def __init__(self, model: bytes, signature: Signature) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.load_model_format", "ONNX")
        require_plain(model, gives=PROBABILITIES)
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base but Exception
            raise ReleaseError(f"model.onnx can't be loaded: {' '.join(str(error).split())[:300]}") from error
        self.signature = signature
        expected = {
            name: len(columns)
            for name, columns in ((NUMBERS, signature.numbers), (CATEGORIES, signature.categories))
            if columns
        }
        inputs = {tensor.name: tensor.shape[-1] for tensor in self._session.get_inputs()}
        if inputs != expected:
            raise ReleaseError(f"model.onnx takes {inputs}, but the signature says {expected}")
        self._has_numbers, self._has_categories = NUMBERS in expected, CATEGORIES in expected
        self._outputs = [PROBABILITIES]

    def probabilities(
        self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.float64]:
        """Probability of churn, one a row, from the two tensors of ``Signature.tensors``.

        Raises:
            ReleaseError: if the model does not give two numbers per row, for staying and for churning.
        """
        feed: dict[str, Any] = {}
        if self._has_numbers:
            feed[NUMBERS] = numbers
        if self._has_categories:
            feed[CATEGORIES] = categories
        both: npt.NDArray[np.float32] = self._session.run(self._outputs, feed)[0]
        if both.shape != (len(numbers), 2):
            raise ReleaseError(
                f"model.onnx gives probabilities of shape {both.shape} for {len(numbers)} rows; expected two a row"
            )
        return both[:, 1].astype(np.float64)

    def score_frame(self, frame: "pl.DataFrame") -> npt.NDArray[np.float64]:
        """Probability of churn for each row of a frame that has the signature's columns."""
        if frame.height == 0:
            return np.empty(0, dtype=np.float64)
        return self.probabilities(*self.signature.frame_tensors(frame))

    def score_rows(self, rows: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
        """Probability of churn for plain rows, each with every name of the signature."""
        return self.probabilities(*self.signature.tensors(rows)) if rows else np.empty(0, dtype=np.float64)
