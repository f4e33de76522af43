"""The explainers of the releases that serve, and where they work: beside the event loop if it would notice.

Belongs here: which explainer answers, threads, failures as problems. Does not belong here: the contributions
(``churn_store.model.reasons``), HTTP (``explanations.routes``, ``predictions.routes``).
"""

import asyncio
import logging
import threading
from concurrent.futures import Executor
from typing import Final

from churn_api.http.problems import Problem
from churn_api.releases.serving_model import SHOWN_DIGITS, ServingModel
from churn_api.schemas.reasons import Reasons, reasons_of
from churn_api.schemas.requests import Row
from churn_api.telemetry.json_log import say
from churn_api.telemetry.metrics import Metrics
from churn_store.errors import ReleaseError
from churn_store.model.reasons.explainer import Explainer
from churn_store.model.scorer import NoProbabilityError
from churn_store.releases.bundles import Bundle
from churn_store.releases.explaining import explainer_of

REMEMBERED: Final = 4
"""Explainers that are kept, so that a rollback finds its own."""


class Explanations:
    """Explains rows by the release that answers them.

    Args:
        metrics: metrics of the service.
        threads: threads for what would delay the event loop.
    """

    def __init__(self, metrics: Metrics, threads: Executor) -> None:
        self._metrics = metrics
        self._threads = threads
        self._making = threading.Lock()
        self._kept: dict[str, Explainer | ReleaseError] = {}

    async def of(self, role: ServingModel, customer_id: str | None, row: Row) -> Reasons:
        """The reasons of a row.

        Args:
            role: release that answers.
            customer_id: id of the customer, if known.
            row: the release's inputs by name.

        Raises:
            Problem: if the release can't be explained (503), or gives no probability for a row between reference and customer (500).
        """
        kept = self._kept.get(role.bundle.digest)
        if isinstance(kept, Explainer) and kept.is_quick:
            return self._explained(kept, role, customer_id, row)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.now, role, customer_id, row)

    def now(self, role: ServingModel, customer_id: str | None, row: Row) -> Reasons:
        """The reasons of a row, in the thread of the caller: see ``of``."""
        return self._explained(self._explainer(role.bundle), role, customer_id, row)

    def require(self, role: ServingModel) -> None:
        """Refuse a release that can't be explained.

        Raises:
            Problem: if it can't (503).
        """
        self._explainer(role.bundle)

    def _explained(self, explainer: Explainer, role: ServingModel, customer_id: str | None, row: Row) -> Reasons:
        try:
            return reasons_of(explainer.explain_row(customer_id, row))
        except NoProbabilityError as error:
            self._metrics.no_probability.labels(role.short, role.model.role).inc(error.rows)
            raise Problem(
                500, "no-probability", "The model gave no number from 0 to 1 on the way to this; the failure was counted."
            ) from error

    def _explainer(self, bundle: Bundle) -> Explainer:
        """The explainer of a release, made at the first question.

        Raises:
            Problem: if it can't be explained (503).
        """
        with self._making:
            kept = self._kept.get(bundle.digest)
            if kept is None:
                try:
                    kept = explainer_of(bundle)
                except ReleaseError as error:
                    say("release_not_explained", logging.WARNING, release=bundle.digest[:SHOWN_DIGITS], detail=str(error))
                    kept = error
                self._kept[bundle.digest] = kept
                for digest in list(self._kept)[:-REMEMBERED]:
                    del self._kept[digest]
        if isinstance(kept, ReleaseError):
            raise Problem(
                503, "no-reasons",
                f"This release can't be explained: {kept}. Its predictions are not affected; a release that is trained now brings what "
                "reasons need.",
            )  # fmt: skip
        return kept
