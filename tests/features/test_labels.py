"""Labels: what happened in [T, T + horizon), as known at maturity; none before it, none for who had already gone."""

from datetime import date, timedelta
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from churn_assets.features.labels import Labelled, churn_labels, require_mature
from churn_assets.periods import epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.label import Label, matures_on
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from tests.features.company import SNAPSHOT, T, event_rows, payment_rows

EVENT = Label(kind="event", event="cancelled", horizon_days=30, grace_days=3)
INACTIVITY = Label(kind="inactivity", horizon_days=30, grace_days=3)
AT_RISK = pl.DataFrame({"customer_id": ["b", "a"]})
H = 30 * DAY_S
MATURE = 33 * DAY_S


def label(
    rule: Label,
    events: list[tuple[str, str, int, int]] | None = None,
    payments: list[tuple[str, str, int, int, int]] | None = None,
    at_risk: AtRisk | None = None,
) -> Labelled:
    """The labels of a and b; times are seconds after T."""
    return churn_labels(
        AT_RISK,
        _lazy(None if events is None else event_rows([(who, kind, -after, delay) for who, kind, after, delay in events])),
        _lazy(
            None
            if payments is None
            else payment_rows([(who, kind, cents, -after, delay) for who, kind, cents, after, delay in payments])
        ),
        snapshot=SNAPSHOT,
        label=rule,
        rule=at_risk or AtRisk(),
    )


def _lazy(frame: pl.DataFrame | None) -> nw.LazyFrame[Any] | None:
    return None if frame is None else nw.from_native(frame.lazy())


def churned(found: Labelled) -> dict[str, bool]:
    return dict(found.labels.select("customer_id", "churned").iter_rows())


@pytest.mark.parametrize(
    ("kind", "after", "delay", "left"),
    [
        ("cancelled", 0, 0, True),
        ("cancelled", H - 1, 0, True),
        ("cancelled", H, 0, False),
        ("session", 5, 0, False),
        ("cancelled", 5, MATURE - 6, True),
        ("cancelled", 5, MATURE - 5, False),
    ],
)
def test_an_event_inside_the_window_and_known_at_maturity_is_churn(kind: str, after: int, delay: int, left: bool) -> None:
    found = label(EVENT, [("a", kind, after, delay), ("b", "session", 5, 0)])
    assert churned(found) == {"a": left, "b": False}
    assert found.left_before == 0


@pytest.mark.parametrize(
    ("events", "payments", "left"),
    [
        ([("a", "session", 0, 0)], [], False),
        ([("a", "session", H - 1, 0)], [], False),
        ([("a", "session", H, 0)], [], True),
        ([("a", "session", 5, MATURE - 5)], [], True),
        ([], [("a", "settled", 5, 5, 0)], False),
        ([], [("a", "failed", 5, 5, 0)], True),
        (None, [("a", "settled", 5, 5, 0)], False),
        ([("a", "session", 5, 0)], None, False),
    ],
)
def test_no_event_and_no_settled_payment_is_inactivity(
    events: list[tuple[str, str, int, int]] | None, payments: list[tuple[str, str, int, int, int]] | None, left: bool
) -> None:
    assert churned(label(INACTIVITY, events, payments)) == {"a": left, "b": True}


@pytest.mark.parametrize("rule", [EVENT, INACTIVITY])
@pytest.mark.parametrize(
    ("after", "delay", "labelled"), [(-1, 5, False), (-9 * DAY_S, 9 * DAY_S, False), (-1, MATURE + 1, True)]
)
def test_who_left_before_which_became_known_later_has_no_label_and_is_counted(
    rule: Label, after: int, delay: int, labelled: bool
) -> None:
    found = label(rule, [("a", "cancelled", after, delay), ("b", "session", 5, 0)])
    assert ("a" in churned(found)) is labelled
    assert found.left_before == (not labelled)


def test_a_label_of_several_words_is_churn_by_each_and_by_each_one_has_left_before() -> None:
    words = ("gone", "churned")
    rule, risk = EVENT.model_copy(update={"event": words}), AtRisk(cancelled_event=words)
    assert churned(label(rule, [("a", "gone", 5, 0), ("b", "churned", 5, 0)], at_risk=risk)) == {"a": True, "b": True}
    assert churned(label(rule, [("a", "cancelled", 5, 0)], at_risk=risk)) == {"a": False, "b": False}
    found = label(rule, [("a", "gone", -5, 9), ("b", "churned", -5, 9)], at_risk=risk)
    assert (found.labels.height, found.left_before) == (0, 2)


def test_where_no_event_ends_a_customer_nobody_has_left_before() -> None:
    found = label(INACTIVITY, [("a", "cancelled", -5, 9)], at_risk=AtRisk(cancelled_event=None))
    assert (set(churned(found)), found.left_before) == ({"a", "b"}, 0)


def test_labels_are_sorted_one_a_customer_and_name_their_snapshot() -> None:
    found = label(EVENT, [("a", "cancelled", 5, 0), ("a", "cancelled", 5, 0), ("z", "cancelled", 5, 0)])
    assert found.labels.rows() == [("a", T, True), ("b", T, False)]
    assert found.labels.columns == ["customer_id", "snapshot_s", "churned"]


def test_a_label_does_not_exist_before_every_outcome_can_be_known() -> None:
    matured = SNAPSHOT + timedelta(days=33)
    assert matures_on(SNAPSHOT, EVENT) == matured
    assert require_mature(SNAPSHOT, EVENT, as_of=matured) == matured
    with pytest.raises(InputError, match=f"labels of {SNAPSHOT} do not exist before {matured}.*it is 2025-08-02"):
        require_mature(SNAPSHOT, EVENT, as_of=matured - timedelta(days=1))


def test_an_event_label_without_events_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="needs a table `events`"):
        label(EVENT, None, [])


def test_the_snapshot_is_the_first_second_of_its_day() -> None:
    assert epoch_s(date(1970, 1, 2)) == DAY_S
