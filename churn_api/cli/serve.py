"""`churn serve`: the service itself."""

import click

from churn_api.server import run
from churn_api.settings import ServiceConfig


@click.command()
def serve() -> None:
    """Serve the release that the asset graph published, until Ctrl-C."""
    run(ServiceConfig.load())
