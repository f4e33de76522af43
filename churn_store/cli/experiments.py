"""`churn experiment`: plan, start, read, stop and promote experiments.

Belongs here: options and output. Does not belong here: what is decided (``churn_store.experiments``).
"""

from datetime import UTC, datetime
from typing import Any, get_args

import click
import msgspec

from churn_store.cli.releases import by_option, open_store, reason_option
from churn_store.errors import InputError
from churn_store.experiments.history import listed, put_aside, read
from churn_store.experiments.lifecycle import create, start, stop
from churn_store.experiments.plan import CUSTOMER, GuardMetric, Metric, Wish
from churn_store.experiments.promotion import promote
from churn_store.experiments.record import Record
from churn_store.experiments.results import results, words_of
from churn_store.releases.lifecycle import SHOWN_DIGITS

SHOWN = 100
"""Most experiments that are listed."""

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def experiment() -> None:
    """Experiments of models (champion and challenger) or of actions (treat by score or not)."""


@experiment.command("create")
@click.argument("name")
@click.option(
    "--challenger", metavar="ID", help="Candidate to compare with the champion; without it, an experiment of actions."
)
@click.option("--share", type=float, default=0.5, show_default=True, help="Share that gets the treatment.")
@click.option("--unit", default=CUSTOMER, show_default=True, help="`customer`, or the header whose value decides.")
@click.option("--metric", type=click.Choice(get_args(Metric)), required=True, help="What decides.")
@click.option("--effect", type=float, required=True, help="Difference of the means that is worth seeing.")
@click.option("--deviation", type=float, required=True, help="Standard deviation of the metric from customer to customer.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance of seeing the effect.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Chance of a verdict without an effect.")
@click.option("--horizon-days", type=int, help="Days until an outcome is known; default: the champion's horizon.")
@click.option("--minimum-size", type=int, help="Matured customers before a verdict; default: a tenth of the planned size.")
@click.option(
    "--guard",
    "guards",
    multiple=True,
    metavar="METRIC=WORST",
    help=f"A measure ({', '.join(get_args(GuardMetric))}) and the greatest loss that is allowed; may be given more than once.",
)
@by_option
@reason_option
def experiment_create(
    name: str, challenger: str | None, guards: tuple[str, ...], by: str, reason: str, **numbers: Any
) -> None:
    """Plan the experiment NAME and say how many customers it takes; nobody is assigned before `start`."""
    settings, engine, files = open_store()
    told = {
        **{key: value for key, value in numbers.items() if value is not None},
        "name": name,
        "subject": "actions" if challenger is None else "models",
        "challenger": challenger,
        "guard_rails": [_guard(text) for text in guards],
    }
    try:
        wish = msgspec.convert(told, Wish)
    except msgspec.ValidationError as error:
        raise InputError(f"the plan can't be used: {error}") from error
    _say(create(engine, files, wish, by=by, reason=reason, now_s=settings.clock.now_s()))


@experiment.command("start")
@click.argument("name")
@by_option
@reason_option
@click.option("--override", is_flag=True, help="Let a rejected candidate be challenger, in your own name.")
def experiment_start(name: str, by: str, reason: str, override: bool) -> None:
    """Begin to assign customers; of models, the challenger begins to answer its share."""
    settings, engine, files = open_store()
    _say(start(engine, files, name, by=by, reason=reason, now_s=settings.clock.now_s(), override=override))


@experiment.command("stop")
@click.argument("name")
@by_option
@reason_option
def experiment_stop(name: str, by: str, reason: str) -> None:
    """End it: nobody is assigned any more, and the champion answers everybody."""
    settings, engine, files = open_store()
    _say(stop(engine, files, name, by=by, reason=reason, now_s=settings.clock.now_s()))


@experiment.command("promote")
@click.argument("name")
@by_option
@reason_option
@click.option("--override", is_flag=True, help="Release a rejected candidate, in your own name; it replaces no result.")
def experiment_promote(name: str, by: str, reason: str, override: bool) -> None:
    """Make the challenger of a won experiment the champion."""
    settings, engine, files = open_store()
    _say(promote(engine, files, name, by=by, reason=reason, now_s=settings.clock.now_s(), override=override))


@experiment.command("show")
@click.argument("name")
@_JSON
def experiment_show(name: str, as_json: bool) -> None:
    """Show what it has shown so far, the plan, and every decision about it."""
    settings, engine, files = open_store()
    record = read(engine, name)
    found = results(engine, lambda: files, record, now_s=settings.clock.now_s())
    if as_json:
        click.echo(msgspec.json.encode({**_told(record), "results": found}))
        return
    _say(record)
    click.echo(f"  {found.words}")
    for caution in found.cautions:
        click.echo(f"  note: {caution}")
    if found.matured:
        click.echo(f"  outcomes: {found.sources.posted:,} posted, {found.sources.labelled:,} from the labels of the lake")
    for arm in found.arms:
        mean = "" if arm.mean is None else f"  {found.metric} {arm.mean:.4g}"
        latency = "" if arm.latency_ms is None else f"  latency {arm.latency_ms.p50:.1f} ms (p95 {arm.latency_ms.p95:.1f})"
        click.echo(
            f"  {arm.arm:9}  {arm.units:,} units  {arm.matured:,} matured  {arm.open:,} open  {arm.unknown:,} without an outcome"
            f"{mean}{latency}"
        )
    plan = record.experiment
    for rail in plan.guard_rails:
        click.echo(f"  guard-rail: {rail.metric} at most {rail.worst:g} worse")
    for event in record.events:
        epoch = "" if event.epoch is None else f", epoch {event.epoch}"
        said = f"; found then: {words_of(event)}" if event.found else ""
        click.echo(f"  {_when(event.at_s)}  {event.kind} by {event.actor}: {event.reason}{epoch}{said}")


@experiment.command("list")
@_JSON
def experiment_list(as_json: bool) -> None:
    """List the experiments, the newest first."""
    _, engine, _ = open_store()
    for record in listed(engine, limit=SHOWN):
        if as_json:
            click.echo(msgspec.json.encode(_told(record)))
        else:
            _say(record)
    for row in put_aside(engine):
        click.echo(row.sentence, err=True)


def _guard(text: str) -> dict[str, object]:
    metric, equals, worst = text.partition("=")
    try:
        return {"metric": metric, "worst": float(worst) if equals else 0.0}
    except ValueError:
        raise InputError(f"the guard-rail {text[:40]!r} has no number behind =; expected one like retention=0.01") from None


def _told(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(record.experiment)
    return {**told, "state": record.state, "decisions": msgspec.to_builtins(record.events)}


def _say(record: Record) -> None:
    plan = record.experiment
    arms = (
        f"{(plan.control or '')[:SHOWN_DIGITS]} and {plan.challenger[:SHOWN_DIGITS]}"
        if plan.challenger is not None
        else "no action and action by score"
    )
    click.echo(
        f"{plan.name}  {record.state}  {plan.subject}: {arms}, {plan.share:.0%} treated by {plan.unit}  {plan.metric} within "
        f"{plan.horizon_days} days  {plan.planned_size:,} matured customers planned, no verdict before {plan.minimum_size:,}"
    )


def _when(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M}"
