"""`churn baseline`: what drift of the serving release is measured against, and a named person's decision about it.

Works with MLflow and Dagster down. Belongs here: options and output. Does not belong here: what is decided (``monitoring.baselines``).
"""

from dataclasses import asdict
from datetime import UTC, datetime

import click
import msgspec

from churn_store.cli.releases import by_option, open_store, reason_option
from churn_store.errors import InputError
from churn_store.monitoring.baselines import Baseline, baseline_now, pins
from churn_store.monitoring.baselines import pin as pin_baseline
from churn_store.releases.lifecycle import SHOWN_DIGITS

SHOWN_PINS = 1_000
"""Most pins that are listed."""

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def baseline() -> None:
    """What drift of the serving release is measured against: its own reference, or another release's that a person pinned."""


@baseline.command("show")
@json_option
def baseline_show(as_json: bool) -> None:
    """Print whose reference counts now."""
    _, engine, _ = open_store()
    counts = baseline_now(engine)
    if counts is None:
        raise InputError("no release serves yet, so there is no baseline; `churn demo` or the job retrain makes one")
    _say(counts, as_json=as_json)


@baseline.command("pin")
@click.argument("release", metavar="ID")
@by_option
@reason_option
def baseline_pin(release: str, by: str, reason: str) -> None:
    """Let release ID's reference count, until another release serves. The serving release's own ID ends that.

    ID is an epoch or a digest of `churn releases` (four digits are enough where they mean one), or NAME/VERSION of the registry.
    """
    settings, engine, files = open_store()
    _say(pin_baseline(engine, files, release, by=by, reason=reason, now_s=settings.clock.now_s()), as_json=False)


@baseline.command("history")
@json_option
def baseline_history(as_json: bool) -> None:
    """List what was pinned, for which release, by whom and why, newest first."""
    _, engine, _ = open_store()
    rows = pins(engine, limit=SHOWN_PINS)
    for row in rows:
        _say(row, as_json=as_json)
    if not rows and not as_json:
        click.echo("nothing was pinned: each release was compared with its own reference")


def _say(counts: Baseline, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({**asdict(counts), "own": counts.is_own}))
        return
    whose = "its own reference" if counts.is_own else f"the reference of {counts.baseline[:SHOWN_DIGITS]}"
    line = f"release {counts.release[:SHOWN_DIGITS]} is compared with {whose}"
    if counts.pinned_s is not None:
        line += (
            f" (since {datetime.fromtimestamp(counts.pinned_s, UTC):%Y-%m-%d %H:%M}, by {counts.actor}: {counts.reason})"
        )
    click.echo(line)
