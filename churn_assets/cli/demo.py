"""`churn demo`: the whole way from raw data to a served prediction, on one screen.

The exit status is 0 only if every line of the screen is true: each job succeeded, the service served the release that the
graph published, and its answers equal the scores in the lake.
"""

import contextlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import dagster as dg
import polars as pl

from churn_assets.automation.jobs import ORDER
from churn_assets.automation.runner import Graph, Step, run_all
from churn_assets.build import build_defs
from churn_assets.cli.screen import Screen, describe_release
from churn_assets.cli.without_time import had_left, scored, trained_on
from churn_assets.connectors.open_source import open_source
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import migrate_lake
from churn_assets.orchestration.instance import instance_in_words, instance_of
from churn_assets.orchestration.lake_words import migrate_words
from churn_assets.orchestration.ownership import claim
from churn_assets.reporting.basis import Basis
from churn_assets.resources.service_process import Client, free_port, key_in_file, serving
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.clock import parse_time
from churn_store.errors import ChurnError
from churn_store.private_files import keep_private
from churn_store.releases.bundles import Bundle
from churn_store.releases.installation import migrate_installation

TOLERANCE = 1e-6
BATCH = 200
NAMED = 3
OK = 200
EXIT_WRONG_INPUT = 2
"""Exit status where a table, a file or a setting is for the user to put right."""


@click.command()
@click.option("--as-of", help="Fix the clock at this time first, so that the figures can be reproduced.")
@click.option(
    "--anew", is_flag=True, help="Load a source that can't say when its rows became known as if for the first time."
)
def demo(as_of: str | None, anew: bool) -> None:
    """Materialize the whole graph, serve the release, ask it for predictions, and print one screen."""
    sys.exit(run_demo(None if as_of is None else parse_time(as_of, where="--as-of"), anew=anew))


def run_demo(as_of: datetime | None, *, anew: bool = False) -> int:
    """Run the demo in the current folder; the exit status."""
    begun = time.monotonic()
    settings = Settings.load()
    keep_private(settings.home)
    settings.home.mkdir(parents=True, exist_ok=True)
    # Absolute: whoever types `make demo DATA=telco` is not in the folder that the demo runs in.
    log = (settings.home / "demo.log").absolute()
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    screen = Screen()
    with _own_instance(settings, log) as instance:
        if as_of is not None and not (settings.clock.is_fixed and settings.clock.now() > as_of):
            # A clock that was moved on since stays: snapshots that the service has already would be newer than the demo's.
            settings.clock.fix(as_of)
        click.echo(f"company {settings.company}, as of {settings.clock.now():%Y-%m-%d}; details go to {log}")
        click.echo(f"runs are kept in {instance_in_words()}")
        migrate_installation(settings.database_url, settings.releases_url)
        source = open_source(settings)
        migrate_lake(Lake(settings.lake_url), {table: source.given(table) for table in settings.raw_tables})
        for line in migrate_words(Lake(settings.lake_url), settings.source, source, instance):
            click.echo(line)
        steps = _materialize(settings, store, instance, log, screen, anew=anew)
    if screen.untrue:
        return _failed(screen, status=EXIT_WRONG_INPUT if steps[-1].wrong_input else 1)
    bundle = store.champion()
    if bundle is None:
        raise ChurnError("the graph ran, but no release serves; look at the checks of model_blessing in the Dagster UI")
    _describe_data(screen, settings)
    describe_release(screen, bundle.manifest)
    row = store.newest()
    screen.line("release", Basis.RECORDED, f"epoch {row.epoch if row else '?'}, digest {bundle.digest}")
    key_file = (settings.home / "api-key").absolute()
    click.echo("starting the service and asking it for predictions")
    with serving(free_port(), settings.home / "service.log", key=key_in_file(key_file, settings.database_url)) as client:
        _ask(screen, client, bundle, Lake(settings.lake_url))
    took = ", ".join(f"{step.job} {'unchanged' if step.skipped else f'{step.seconds:.1f} s'}" for step in steps)
    screen.line("seconds", Basis.RECORDED, f"{took}; all {time.monotonic() - begun:.1f} s")
    click.echo("\n".join(["", *screen.lines, "", *screen.legend()]))
    if screen.untrue:
        return _failed(screen)
    address = f"http://127.0.0.1:{settings.service.port}"
    click.echo(
        f"\nNext: `{_dev()}` opens the Dagster UI on http://127.0.0.1:3000 and the service on {address} "
        f'(key in {key_file});\n      `curl -H "X-API-Key: $(cat {shlex.quote(str(key_file))})" {address}/model/version`'
        + ("; `churn clock set` moves the time on, and the graph follows" if settings.has_time else "")
    )
    return 0


def _dev() -> str:
    """The command that opens the UI: of `make` where that has run the demo, else `churn dev` in the same folder."""
    folder = Path.cwd()
    if "MAKELEVEL" not in os.environ:
        return "churn dev"
    return f"make dev{f' DATA={folder.name}' if folder.parent.name == 'examples' else ''}"


def _failed(screen: Screen, *, status: int = 1) -> int:
    for found in screen.untrue:
        click.echo(f"churn demo: {found}", err=True)
    return status


@contextlib.contextmanager
def _own_instance(settings: Settings, log: Path) -> Iterator[dg.DagsterInstance]:
    """The instance that every command uses, refused if it is another company's."""
    with open(log, "w", encoding="utf-8") as details, contextlib.redirect_stderr(details):
        instance = instance_of(Path.cwd())
    with instance:
        claim(instance, settings.company, settings.lake_url)
        yield instance


def _materialize(
    settings: Settings, store: ServingStore, instance: dg.DagsterInstance, log: Path, screen: Screen, *, anew: bool
) -> list[Step]:
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    steps = []
    with open(log, "a", encoding="utf-8") as details, contextlib.redirect_stderr(details):
        graph = Graph(build_defs(settings), settings, open_source(settings), store, instance)
        for step in run_all(graph, started=_progress, anew=anew):
            steps.append(step)
            number = f"{ORDER.index(step.job) + 1}/{len(ORDER)}"
            what = step.job + ("" if step.periods is None else f" ({step.periods} periods)")
            click.echo(f"\r[{number}] {what:<32} {'unchanged' if step.skipped else f'{step.seconds:5.1f} s'}")
            if step.kept:
                click.echo(
                    "      the source, a setting or the code is another one than before; what was ingested stays as it arrived, and "
                    "`churn demo --anew` loads all of it as if for the first time"
                )
            for failed in step.failed_checks:
                click.echo(f"      failed check {failed}")
            screen.must(step.error is None, f"{step.job}: {step.error}; see {log} and the run in the Dagster UI")
    return steps


def _progress(job: str) -> None:
    click.echo(f"[{ORDER.index(job) + 1}/{len(ORDER)}] {job} ...", nl=False)


def _describe_data(screen: Screen, settings: Settings) -> None:
    lake = Lake(settings.lake_url)
    rows = {
        table: lake.collect(table, lake.scan(table).select(pl.len())).item()
        for table in (*settings.raw_tables, "customer_features", "churn_labels", "training_set", "churn_scores")
    }
    if settings.source.kind == "synthetic":
        screen.line(
            "outcomes", Basis.SIMULATED, "the whole company is; what is measured below is measured on its customers"
        )
    screen.line("rows", Basis.RECORDED, ", ".join(f"{table} {number:,}" for table, number in rows.items()))
    newest = max(lake.periods("churn_scores"))
    at_risk = lake.read("churn_scores", newest)
    when = f" at {newest}" if settings.has_time else ""
    screen.line(
        "customers at risk",
        Basis.PREDICTED,
        f"{at_risk.height:,}{when}, {at_risk['churn'].sum():,} of them called churners",
    )
    if not settings.has_time:
        for name, value in (*trained_on(lake, settings.training), *scored(lake)):
            screen.line(name, Basis.RECORDED, value)
        left = had_left(lake)
        screen.must(left == 0, f"{left:,} customers who left are scored as at risk; run the job score again")
    labels = lake.collect("churn_labels", lake.scan("churn_labels").select(PERIOD, "churned"))
    rates = labels.group_by(PERIOD).agg(pl.col("churned").mean())["churned"].to_list()
    spread = f" ({min(rates):.1%} to {max(rates):.1%} over {len(rates)} snapshots)" if settings.has_time else ""
    total = labels.select(pl.col("churned").mean()).item()
    screen.line("churn rate", Basis.MEASURED, f"{total:.1%}{spread}")


def _ask(screen: Screen, client: Client, bundle: Bundle, lake: Lake) -> None:
    period = max(lake.periods("churn_scores"))
    scores = lake.read("churn_scores", period).sort("probability", descending=True)
    expected = dict(scores.select("customer_id", "probability").iter_rows())
    riskiest = scores["customer_id"][0]
    row = lake.read("customer_features", period).row(by_predicate=pl.col("customer_id") == riskiest, named=True)
    attributes = {name: row[name] for name in bundle.manifest.signature.names}
    sample = scores["customer_id"].head(BATCH).to_list()

    status, one = client.ask(f"/predict/{riskiest}")
    _answered(screen, "GET /predict/{id}", status, one, expected[riskiest], bundle)
    status, same = client.ask("/predict", {"attributes": attributes})
    _answered(screen, "POST /predict", status, same, expected[riskiest], bundle)
    status, batch = client.ask("/predict/batch", {"customer_ids": sample})
    answers: list[Mapping[str, Any]] = batch["predictions"] if status == OK else []
    agree = [
        abs(answer["probability"] - expected[name]) <= TOLERANCE for name, answer in zip(sample, answers, strict=False)
    ]
    screen.must(
        len(agree) == len(sample) and all(agree),
        f"the batch answered {status} with {sum(agree)} of {len(sample)} as scored",
    )
    first = ", ".join(f"{name} {answer['probability']:.3f}" for name, answer in zip(sample[:NAMED], answers, strict=False))
    screen.line("POST /predict/batch", Basis.PREDICTED, f"{len(answers)} customers, all as in churn_scores: {first}, ...")


def _answered(screen: Screen, what: str, status: int, answer: Mapping[str, Any], expected: float, bundle: Bundle) -> None:
    if status != OK:
        screen.must(False, f"{what} answered {status}: {answer.get('detail', answer)}")
        return
    probability = answer["probability"]
    screen.must(
        abs(probability - expected) <= TOLERANCE, f"{what} answered {probability}, but the lake's score is {expected}"
    )
    served = answer["model"]["release"]
    screen.must(served == bundle.digest, f"{what} was answered by release {served}, not by {bundle.digest}")
    who = answer.get("customer_id") or "the same attributes"
    screen.line(
        what,
        Basis.PREDICTED,
        f"{who}: probability {probability:.3f}, {'churns' if answer['churn'] else 'stays'} "
        f"(threshold {answer['threshold']:.3f}), by release {served[:12]}",
    )
