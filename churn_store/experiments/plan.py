"""The plan of an experiment: what is compared, on whom, by which measure, and how many customers that takes.

Belongs here: what a plan may say. Does not belong here: keeping it and deciding about it (``history``, ``lifecycle``), and what came out
(``results``).
"""

import math
from typing import Annotated, Final, Literal

import msgspec

from churn_store.errors import InputError
from churn_store.experiments.inference import LEAST_ARM
from churn_store.experiments.planning import planned_retention_size, planned_size
from churn_store.releases.challenge import GREATEST_SHARE
from churn_store.releases.manifest import Manifest, ProfitTerms

Subject = Literal["models", "actions"]
"""What is compared: two releases, or treating customers by score with not treating them."""

Metric = Literal["log_loss", "profit", "retention"]
GuardMetric = Literal["log_loss", "profit", "retention", "latency_ms"]
Arm = Literal["control", "treatment"]

CONTROL: Final[Arm] = "control"
TREATMENT: Final[Arm] = "treatment"
ARMS: Final[tuple[Arm, ...]] = (CONTROL, TREATMENT)

CUSTOMER: Final = "customer"
"""The unit where no header is named."""

SMALLEST: Final = 200
"""Fewest matured customers of both arms for a verdict; each arm needs its own number besides (``inference.least_arm``)."""

SMALLEST_SHARE: Final = 0.1
"""Share of the planned size that has to be matured before there is a verdict, where the plan says nothing."""

TELLS_NOTHING: Final = frozenset(
    {
        "host",
        "user-agent",
        "referer",
        "origin",
        "from",
        "via",
        "forwarded",
        "date",
        "range",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "cache-control",
        "pragma",
        "max-forwards",
        "idempotency-key",
        "dnt",
        "priority",
        "traceparent",
        "tracestate",
        "baggage",
        "x-request-id",
        "x-correlation-id",
        "x-real-ip",
    }
)
TELLS_NOTHING_PREFIXES: Final = ("accept", "content-", "if-", "sec-", "x-forwarded-", "access-control-", "proxy-")
"""Headers that say something of the message, of the program that sends it or of the way it came, and nothing of a customer."""

SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})

Name = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$", description="small letters, digits, dots, - and _")
]
Unit = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9-]{1,64}$", description="`customer`, or the header whose value decides, such as X-Account-Id"
    ),
]
Share = Annotated[float, msgspec.Meta(ge=0.001, le=0.999)]
Power = Annotated[float, msgspec.Meta(ge=0.5, le=0.999)]


class GuardRail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure that the treatment must not make worse than this.

    Attributes:
        worst: greatest loss that is allowed, in the unit of the measure; 0 allows none.
    """

    metric: GuardMetric
    worst: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants to find out.

    Attributes:
        challenger: candidate that is compared with the champion; null in an experiment of actions.
        share: share of the units that get the treatment; of models at most 0.5.
        horizon_days: days until an outcome is known; at least, and by default, those of the champion.
        effect: difference of the means between the arms that is worth seeing, in the unit of the metric.
        deviation: standard deviation of the metric from customer to customer; of retention 0.26 where 7 % leave.
        power: chance of seeing the effect at the planned size.
        alpha: chance of a verdict where there is no effect, over all looks.
        minimum_size: matured customers of both arms before which there is no verdict; default: a tenth of the planned size, 200 at least, and
            so many that the smaller arm has 100.
    """

    name: Name
    subject: Subject
    challenger: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    share: Share = 0.5
    unit: Unit = CUSTOMER
    metric: Metric
    horizon_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] | None = None
    guard_rails: Annotated[tuple[GuardRail, ...], msgspec.Meta(max_length=4)] = ()
    effect: Annotated[float, msgspec.Meta(gt=0)]
    deviation: Annotated[float, msgspec.Meta(gt=0)]
    power: Power = 0.8
    alpha: Annotated[float, msgspec.Meta(ge=0.001, le=0.2)] = 0.05
    minimum_size: Annotated[int, msgspec.Meta(ge=SMALLEST, le=10**9)] | None = None


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as it was planned; it never changes.

    Attributes:
        control: candidate that answers the control, the champion of the day; ``None`` in an experiment of actions.
        challenger: candidate that answers the treatment; ``None`` in an experiment of actions.
        unit: ``customer``, or the name of the header that decides.
        salt: random text that makes this assignment independent of any other.
        planned_size: matured customers of both arms at which the effect is seen with the power.
        profit: assumptions of the profit, from the champion of the day; ``None`` where it has none.
    """

    name: str
    subject: Subject
    control: str | None
    challenger: str | None
    share: float
    unit: str
    salt: str
    metric: Metric
    horizon_days: int
    guard_rails: tuple[GuardRail, ...]
    effect: float
    deviation: float
    power: float
    alpha: float
    planned_size: int
    minimum_size: int
    profit: ProfitTerms | None

    @property
    def header(self) -> str | None:
        """Name of the header that decides; ``None`` where the customer does."""
        return None if self.unit == CUSTOMER else self.unit

    @property
    def shares(self) -> tuple[float, float]:
        """Shares of control and treatment."""
        return 1 - self.share, self.share


def plan(wish: Wish, champion: Manifest, challenger: Manifest | None, *, salt: str) -> Experiment:
    """The experiment that answers a wish.

    Args:
        wish: what somebody wants to find out.
        champion: manifest of the release that serves.
        challenger: manifest of the challenger, if one is named.
        salt: random text.

    Raises:
        InputError: if the wish can't be fulfilled; says why and what to do.
    """
    _check(wish, challenger)
    horizon = _horizon(wish, champion)
    terms = champion.evaluation.profit if isinstance(champion.evaluation, msgspec.Struct) else None
    if terms is None and "profit" in {wish.metric, *(rail.metric for rail in wish.guard_rails)}:
        raise InputError(
            "the champion says nothing about what a customer is worth, so there is no profit to compare; take another metric, or release "
            "a model of today first"
        )
    try:
        size_of = planned_retention_size if wish.metric == "retention" else planned_size
        size = size_of(wish.effect, deviation=wish.deviation, share=wish.share, alpha=wish.alpha, power=wish.power)
    except ValueError as error:
        raise InputError(str(error)) from error
    return Experiment(
        name=wish.name,
        subject=wish.subject,
        control=None if challenger is None else champion.candidate,
        challenger=None if challenger is None else challenger.candidate,
        share=wish.share,
        unit=CUSTOMER if wish.unit.lower() == CUSTOMER else wish.unit.lower(),
        salt=salt,
        metric=wish.metric,
        horizon_days=horizon,
        guard_rails=wish.guard_rails,
        effect=wish.effect,
        deviation=wish.deviation,
        power=wish.power,
        alpha=wish.alpha,
        planned_size=size,
        minimum_size=wish.minimum_size or _minimum_size(size, wish.share),
        profit=terms,
    )


def _minimum_size(planned: int, share: float) -> int:
    """The matured customers of both arms for a verdict, where the wish names none."""
    return max(SMALLEST, math.ceil(planned * SMALLEST_SHARE), math.ceil(LEAST_ARM / min(share, 1 - share)))


def _check(wish: Wish, challenger: Manifest | None) -> None:
    if wish.subject == "models" and challenger is None:
        raise InputError("an experiment of models needs a challenger; `churn releases` lists the candidates")
    if wish.subject == "actions" and challenger is not None:
        raise InputError(
            "an experiment of actions has no challenger: whichever release serves gives the scores; leave it out"
        )
    if wish.subject == "models" and wish.share > GREATEST_SHARE:
        raise InputError(
            f"the challenger's share is {wish.share:g}; expected at most {GREATEST_SHARE:g}, as the champion answers most"
        )
    if wish.subject == "actions" and "log_loss" in {wish.metric, *(rail.metric for rail in wish.guard_rails)}:
        raise InputError(
            "log loss says how well a model knows customers whom nobody treats, and an experiment of actions treats some; take profit "
            "or retention"
        )
    if wish.unit.lower() in SECRET_HEADERS:
        raise InputError(f"the header {wish.unit} is a secret and can't be the unit; name one that says who is asked about")
    if wish.unit.lower() in TELLS_NOTHING or wish.unit.lower().startswith(TELLS_NOTHING_PREFIXES):
        raise InputError(
            f"the header {wish.unit} says nothing of a customer: one value stands for many, or each request has another; name one that says who "
            "is asked about, such as X-Account-Id"
        )
    numbers = (wish.effect, wish.deviation, *(rail.worst for rail in wish.guard_rails))
    if not all(map(math.isfinite, numbers)):
        raise InputError("the effect, the deviation or a guard-rail is not a finite number; expected one")
    names = [rail.metric for rail in wish.guard_rails]
    if len(set(names)) < len(names) or wish.metric in names:
        raise InputError("a measure occurs twice among the metric and the guard-rails; name each once")


def _horizon(wish: Wish, champion: Manifest) -> int:
    if wish.horizon_days is None and champion.horizon_days is None:
        raise InputError("the champion's data has no time, so it has no horizon; name the days until an outcome is known")
    horizon = wish.horizon_days or champion.horizon_days or 0
    if horizon < (champion.horizon_days or 0):
        raise InputError(
            f"a horizon of {horizon} days ends before the champion's ({champion.horizon_days} days): who has not left by then may still "
            "leave; name at least as many"
        )
    return horizon
