"""Alerts about drift: one while it stays, closed by itself, and never closed by what shows nothing."""

import sqlalchemy as sa

from churn_assets.monitoring.drift_alerts import settle_alerts
from churn_store.alerts.log import Alert, newest_alerts, open_alerts, raise_alerts
from tests.monitoring.test_history import UNJUDGED, move, window

RELEASE, OTHER = "a" * 64, "b" * 64


def causes(engine: sa.Engine) -> list[str]:
    return [one.alert.cause for one in open_alerts(engine)]


def test_a_drift_stays_one_alert_whichever_features_move_and_is_closed_when_it_is_over(engine: sa.Engine) -> None:
    settle_alerts(engine, [window("2025-01-01")], {}, release=RELEASE, now_s=1)
    settle_alerts(engine, [window("2025-02-01", features=[move("spend")])], {}, release=RELEASE, now_s=2)
    [alert] = open_alerts(engine)
    assert (alert.occurrence, alert.first_s, alert.last_s, alert.alert.details["features"]) == (1, 1, 2, ["spend"])
    few = window("2025-03-01", **UNJUDGED)
    settle_alerts(engine, [few], {}, release=RELEASE, now_s=3)
    assert causes(engine) == [f"drift/snapshot/{RELEASE}"]
    settle_alerts(engine, [window("2025-04-01", state="fine", since=None)], {}, release=RELEASE, now_s=4)
    assert causes(engine) == []


def test_another_release_closes_the_alerts_of_the_former_one(engine: sa.Engine) -> None:
    settle_alerts(engine, [window("k"), window("k", of="served")], {}, release=RELEASE, now_s=1)
    settle_alerts(engine, [window("k", release=OTHER)], {}, release=OTHER, now_s=2)
    assert causes(engine) == [f"drift/snapshot/{OTHER}"]
    assert {one.closed_because for one in newest_alerts(engine, limit=9)} == {"", f"release {OTHER[:12]} serves now"}


def test_a_detector_that_fails_is_an_alert_until_it_works_again(engine: sa.Engine) -> None:
    settle_alerts(engine, [window("k", **UNJUDGED)], {"snapshot": "it failed"}, release=RELEASE, now_s=1)
    [alert] = open_alerts(engine)
    assert (alert.alert.cause, alert.alert.kind, alert.alert.sentence) == ("drift/unknown/snapshot", "unknown", "it failed")
    settle_alerts(engine, [window("k", state="fine")], {}, release=RELEASE, now_s=2)
    assert causes(engine) == []


def test_alerts_of_others_are_left_alone(engine: sa.Engine) -> None:
    raise_alerts(engine, [Alert("quality/a", "quality", "info", "s", release=OTHER)], now_s=1)
    settle_alerts(engine, [window("k", state="fine")], {}, release=RELEASE, now_s=2)
    assert causes(engine) == ["quality/a"]
