"""The one code that turns rows into probabilities: through the ONNX model of a verified release.

The gate, batch scoring and the service all score here. scikit-learn predicts only where the export is compared with it.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from churn_store.errors import ReleaseError
from churn_store.model.onnx_allowlist import require_plain
from churn_store.model.signature import Signature
from churn_store.model.tree_sum import read_tree_sum

if TYPE_CHECKING:
    import polars as pl

ROWS_AT_ONCE: Final = 200
"""Rows of one run of the model. A model may compute 200,000 numbers for a row (``onnx_cost``), so a run takes at most 160 MB; runs of
10,000 rows are a tenth faster."""

ROUNDING: Final = 1e-6
"""Beyond 0 and 1 by so much a probability is taken for 0 or 1: forests that skl2onnx exported add up shares in 32 bits."""

LEAST: Final = 1e-9
"""Smaller probabilities count as this in log odds, which stay finite."""

NUMBERS, CATEGORIES, PROBABILITIES = "numbers", "categories", "probabilities"
"""Names of the model's two inputs and of its output."""


class NoProbabilityError(ReleaseError):
    """A model gave something else than a probability: below 0, above 1 or not a number.

    Attributes:
        given: what it gave, with not-a-number in place of what is no probability.
        rows: number of those.
    """

    def __init__(self, given: npt.NDArray[np.float64]) -> None:
        beyond = ~((given >= -ROUNDING) & (given <= 1 + ROUNDING))
        self.given = np.where(beyond, np.nan, np.clip(given, 0.0, 1.0))
        self.rows = int(beyond.sum())
        super().__init__(
            f"model.onnx gives {given[beyond][0]:.6g} for a row, and no probability from 0 to 1 for {self.rows} of {len(given)} rows"
        )


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
        parsed = require_plain(model, gives=PROBABILITIES)
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
        self.has_trees = b"TreeEnsemble" in model
        """Whether the model is one of trees; one without is linear in its columns."""
        self.trees = read_tree_sum(parsed, signature) if self.has_trees else None
        """The trees, by which reasons are computed; ``None`` where the log odds are no function of one sum of trees."""

    def probabilities(
        self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.float64]:
        """Probability of churn, one a row, from the two tensors of ``Signature.tensors``.

        Raises:
            ReleaseError: if the model does not give two numbers per row, for staying and for churning.
            NoProbabilityError: if one for churning is no probability.
        """
        parts = [
            self._run(numbers[start : start + ROWS_AT_ONCE], categories[start : start + ROWS_AT_ONCE])
            for start in range(0, len(numbers), ROWS_AT_ONCE)
        ]
        return self._checked(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _checked(self, given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        least, greatest = given.min(), given.max()
        if not (least >= -ROUNDING and greatest <= 1 + ROUNDING):  # also where one is not a number
            raise NoProbabilityError(given)
        return given if least >= 0 and greatest <= 1 else np.clip(given, 0.0, 1.0)

    def log_odds(self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        """Log odds of churn, one a row, from the two tensors; probabilities of nearly 0 and 1 keep their digits.

        Raises:
            ReleaseError: if the model does not give two numbers per row.
            NoProbabilityError: if one is no probability.
        """
        parts = [
            self._both(numbers[start : start + ROWS_AT_ONCE], categories[start : start + ROWS_AT_ONCE])
            for start in range(0, len(numbers), ROWS_AT_ONCE)
        ]
        both = (parts[0] if len(parts) == 1 else np.concatenate(parts)).astype(np.float64)
        if not (both.min() >= -ROUNDING and both.max() <= 1 + ROUNDING):
            raise NoProbabilityError(both[:, 1])
        logs: npt.NDArray[np.float64] = np.log(np.clip(both, LEAST, 1.0))
        return logs[:, 1] - logs[:, 0]

    def _run(self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
        return self._both(numbers, categories)[:, 1].astype(np.float64)

    def _both(self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]) -> npt.NDArray[np.float32]:
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
        return both

    def score_frame(self, frame: "pl.DataFrame") -> npt.NDArray[np.float64]:
        """Probability of churn for each row of a frame that has the signature's columns."""
        if frame.height == 0:
            return np.empty(0, dtype=np.float64)
        return self.probabilities(*self.signature.frame_tensors(frame))

    def score_rows(self, rows: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
        """Probability of churn for plain rows, each with every name of the signature."""
        return self.probabilities(*self.signature.tensors(rows)) if rows else np.empty(0, dtype=np.float64)

    def score_row(self, row: dict[str, Any]) -> float:
        """Probability of churn for one plain row, the same as ``score_rows`` gives for it alone, in less time.

        Raises:
            ReleaseError: if the model does not give two numbers for it.
            NoProbabilityError: if one for churning is no probability.
        """
        both = self._both(*self.signature.tensors([row]))
        given = both.item(1)
        if 0.0 <= given <= 1.0:
            return given
        return float(self._checked(both[:, 1].astype(np.float64))[0])
