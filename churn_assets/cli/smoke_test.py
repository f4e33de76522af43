"""`churn checks`: the whole graph on a small synthetic company, for continuous integration."""

import contextlib
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import dagster as dg
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from churn_assets.automation.jobs import ORDER
from churn_assets.automation.runner import Graph, run_all
from churn_assets.build import build_defs
from churn_assets.connectors.open_source import open_source
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.simulator.source import SyntheticSettings
from churn_store.database.migrate import migrate

AS_OF = datetime(2025, 4, 1, tzinfo=UTC)
"""Fifteen months of data: enough snapshots to train, select and judge."""


@click.command()
@click.option("--customers", default=2_000, show_default=True, help="Size of the small company.")
def checks(customers: int) -> None:
    """Materialize the graph on a small synthetic company; name every asset check that fails."""
    sys.exit(run_checks(customers))


class SmallCompany(Settings):
    """Settings from arguments and defaults alone: no file and no environment can lead this to the stores of a real company."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_others: Any,
        **_more: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only."""
        return (init_settings,)


def run_checks(customers: int) -> int:
    """Run every job once; the exit status is 1 if a job or a check failed, each named on a line."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = SmallCompany(company="small", home=home, source=SyntheticSettings(customers=customers))
        settings.clock.fix(AS_OF)
        migrate(settings.database_url)
        store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
        complaints, ran = [], 0
        with (
            open(home / "log", "w", encoding="utf-8") as log,
            contextlib.redirect_stderr(log),
            dg.DagsterInstance.ephemeral(tempdir=folder) as instance,
        ):
            graph = Graph(build_defs(settings), settings, open_source(settings), store, instance)
            for step in run_all(graph, started=lambda _: None):
                ran += 1
                click.echo(f"{step.job}: {step.seconds:.1f} s, {len(step.failed_checks)} checks failed")
                complaints += [f"failed check {check}" for check in step.failed_checks]
                complaints += [] if step.error is None else [f"{step.job} failed: {step.error}"]
        if store.newest() is None:
            complaints.append("no release was published")
        if ran != len(ORDER):
            complaints.append(f"{ran} of {len(ORDER)} jobs ran")
    for complaint in complaints:
        click.echo(f"churn checks: {complaint}", err=True)
    return 1 if complaints else 0
