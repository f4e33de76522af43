"""Kinds of churn: which customer left by a failed payment, and that the label itself does not change."""

from typing import Any

import narwhals as nw
import polars as pl
import pytest

from churn_assets.contracts import violations
from churn_assets.features.churn_kinds import kind_counts, with_kinds
from churn_assets.features.contracts import labels_contract
from churn_assets.features.labels import churn_labels
from churn_assets.preflight.rates import rate_at
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.churn_kinds import ChurnKinds
from churn_assets.settings.label import Label
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from tests.features.company import SNAPSHOT, customer_rows, event_rows, payment_rows
from tests.features.conftest import Read

EVENT = Label(kind="event", event="cancelled", horizon_days=30, grace_days=3)
INACTIVITY = Label(kind="inactivity", horizon_days=30, grace_days=3)
KINDS = ChurnKinds()
LEFT = ("a", "cancelled", 10, 0)


def kinds(
    *payments: tuple[str, float, float],
    label: Label = EVENT,
    events: tuple[tuple[str, str, float, float], ...] = (LEFT,),
    rule: ChurnKinds = KINDS,
) -> dict[str, str | None]:
    """The kinds of a and b: payments of a are (status, days after T, days until known)."""

    def of(frame: pl.DataFrame) -> nw.LazyFrame[Any]:
        return nw.from_native(frame.lazy())

    acts = of(event_rows([(who, word, -int(day * DAY_S), int(delay * DAY_S)) for who, word, day, delay in events]))
    paid = of(payment_rows([("a", status, 100, -int(day * DAY_S), int(delay * DAY_S)) for status, day, delay in payments]))
    at_risk = pl.DataFrame({"customer_id": ["a", "b"]})
    labelled = churn_labels(at_risk, acts, paid, snapshot=SNAPSHOT, label=label, rule=AtRisk(cancelled_event=None)).labels
    found = with_kinds(labelled, acts, paid, snapshot=SNAPSHOT, label=label, kinds=rule)
    assert found.drop("churn_kind").equals(labelled)
    assert violations(labels_contract(has_time=True, has_kinds=True), found) == []
    return dict(found.select("customer_id", "churn_kind").iter_rows())


@pytest.mark.parametrize(
    ("payments", "kind"),
    [
        ([], "voluntary"),
        ([("failed", 9, 0)], "payment_failure"),
        ([("failed", 10, 0)], "payment_failure"),
        ([("failed", 10.01, 0)], "voluntary"),
        ([("failed", -20, 0)], "payment_failure"),
        ([("failed", -20.01, 0)], "voluntary"),
        ([("failed", 2, 0), ("settled", 9, 0)], "voluntary"),
        ([("settled", 2, 0), ("failed", 9, 0)], "payment_failure"),
        ([("failed", 9, 0), ("settled", 9, 0)], "voluntary"),
        ([("failed", 9, 0), ("refunded", 9.5, 0)], "payment_failure"),
        ([("failed", 9, 0), ("settled", 11, 0)], "payment_failure"),
        ([("failed", 9, 25)], "voluntary"),
        ([("failed", 9, 0), ("settled", 9.5, 25)], "payment_failure"),
    ],
    ids=str,
)
def test_who_left_after_a_failed_payment_that_no_settled_one_followed_left_by_it(
    payments: list[tuple[str, float, float]], kind: str
) -> None:
    assert kinds(*payments) == {"a": kind, "b": None}


@pytest.mark.parametrize(
    ("payments", "kind"),
    [
        ([], "voluntary"),
        ([("failed", 29, 0)], "payment_failure"),
        ([("failed", -29, 0)], "payment_failure"),
        ([("failed", -31, 0)], "voluntary"),
        ([("failed", -9, 0), ("settled", -1, 0)], "voluntary"),
        ([("failed", 31, 0)], "voluntary"),
    ],
    ids=str,
)
def test_of_who_fell_silent_the_whole_window_counts(payments: list[tuple[str, float, float]], kind: str) -> None:
    active = (("b", "session", 3.0, 0.0),)
    assert kinds(*payments, label=INACTIVITY, events=active) == {"a": kind, "b": None}


def test_an_event_can_say_that_an_account_was_closed_unpaid() -> None:
    rule = ChurnKinds(events="closed_unpaid")
    unpaid = ("a", "closed_unpaid", 9.0, 0.0)
    assert kinds(events=(LEFT, unpaid), rule=rule)["a"] == "payment_failure"
    assert kinds(events=(LEFT, unpaid))["a"] == "voluntary"
    assert kinds(events=(LEFT, ("a", "closed_unpaid", 11.0, 0.0)), rule=rule)["a"] == "voluntary"


def test_validate_tells_how_many_left_by_payment_failure() -> None:
    customers = customer_rows([(who, 200 * DAY_S, 0, 200 * DAY_S, "free", 1.0) for who in "abc"])
    left = [(who, "cancelled", -9 * DAY_S, 0) for who in "ab"]
    seen = [(who, "session", 5 * DAY_S, 0) for who in "abc"]
    tables: dict[Table, pl.DataFrame] = {
        "customers": customers,
        "events": event_rows([*seen, *left]),
        "payments": payment_rows([("a", "failed", 100, 9 * DAY_S, 0), ("b", "settled", 100, 9 * DAY_S, 0)]),
    }
    rate = rate_at(tables, SNAPSHOT, at_risk=AtRisk(), label=EVENT.model_copy(update={"kinds": KINDS}))
    assert (rate.at_risk, rate.churn_rate, rate.by_payment_failure) == (3, 2 / 3, 1)
    assert rate_at(tables, SNAPSHOT, at_risk=AtRisk(), label=EVENT).by_payment_failure is None


def test_counts_are_those_of_who_churned() -> None:
    labels = pl.DataFrame({"churn_kind": ["voluntary", None, "payment_failure", "voluntary", None]})
    assert kind_counts(labels) == {"payment_failure": 1, "voluntary": 2}


def test_without_kinds_labels_and_settings_are_what_they_were() -> None:
    assert "kinds" not in Label().model_dump(mode="json")
    assert set(labels_contract(has_time=True).columns) == {"customer_id", "snapshot_s", "churned"}


def test_kinds_that_nothing_can_tell_are_refused(read: Read) -> None:
    events = {"path": "e.csv", "columns": {"customer_id": "c", "event_type": "t", "occurred": "o"}}
    source = {"kind": "files", "start": "2024-01-01", "events": events}
    with pytest.raises(InputError, match="from failed payments, but the source has no `payments`"):
        read({"source": source, "label": {"kinds": {}}})
    told = read({"source": source, "label": {"kinds": {"events": "closed_unpaid"}}}).label.kinds
    assert told == ChurnKinds(events=("closed_unpaid",))
    assert read({"label": {"kinds": {}}}).label.kinds == KINDS
