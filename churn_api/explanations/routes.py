"""``GET /explain/{customer_id}``: why the serving release says what it says of a customer, for keys with the scope ``predict``."""

import time
from datetime import UTC, datetime

from litestar import Controller, Response, get
from litestar.types import Scope

from churn_api.explanations.service import Explanations
from churn_api.http.call import Call
from churn_api.http.lanes import needs
from churn_api.http.problems import problem_spec
from churn_api.predictions.address import customer_id_of
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.service import Predictor, unknown_customer
from churn_api.schemas.explanations import ExplainedCustomer


class ExplanationController(Controller):
    """The reasons of a customer's probability."""

    @get(
        "/explain/{customer_id:str}",
        opt=needs("predict"),
        summary="Why a customer is at risk: what each group of attributes adds, in plain words",
        responses={
            404: problem_spec("The customer is not in the online features; names their date."),
            503: problem_spec("No release serves yet, it can't be explained, or the online features are missing."),
        },
    )
    async def explain(
        self,
        customer_id: str,
        scope: Scope,
        call: Call,
        predictor: Predictor,
        online: OnlineFeatures,
        explanations: Explanations,
    ) -> Response[ExplainedCustomer]:
        """Explain the newest online features of a customer."""
        served = predictor.serving(call)
        customer_id = customer_id_of(scope, customer_id)
        features = await online.look_up((customer_id,), served)
        row, snapshot = features.rows[0], features.snapshot
        if row is None:
            raise unknown_customer(snapshot)
        role, _ = predictor.answering(call, served, customer_id)
        probability = predictor.probability(role, row)
        reasons = await explanations.of(role, customer_id, row)
        now_s, snapshot_s = predictor.now_s(), snapshot.snapshot_s
        explained = ExplainedCustomer(
            request_id=call.request_id,
            customer_id=customer_id,
            probability=probability,
            churn=role.bundle.churns(probability),
            threshold=role.bundle.manifest.threshold,
            horizon_days=role.bundle.manifest.horizon_days,
            model=role.model,
            snapshot=None if snapshot_s is None else datetime.fromtimestamp(snapshot_s, UTC),
            feature_age_s=None if snapshot_s is None else round(now_s - snapshot_s, 3),
            reasons=reasons,
            answered_at=datetime.fromtimestamp(now_s, UTC),
            latency_ms=round((time.perf_counter() - call.begun) * 1000, 3),
        )
        name, value = role.header
        return Response(explained, headers={name.decode(): value.decode()})
