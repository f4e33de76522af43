"""`churn serve`: the service itself."""

import click

from churn_api.settings import MOST_WORKERS, ServiceConfig


@click.command()
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), help="Processes that serve; default: service.workers.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on, 0 for a free one; default: service.port.")
def serve(workers: int | None, port: int | None) -> None:
    """Serve the release that the asset graph published, until Ctrl-C."""
    given = {name: value for name, value in (("workers", workers), ("port", port)) if value is not None}
    settings = ServiceConfig.load(service=given) if given else ServiceConfig.load()
    if settings.service.workers > 1:
        from churn_api.workers.supervisor import supervise  # noqa: PLC0415 - light, and before anything that has threads

        worker = supervise(settings.service)
    else:
        from churn_api.workers.worker import Worker  # noqa: PLC0415

        worker = Worker()
    from churn_api.server import run  # noqa: PLC0415 - heavy; in each worker's own process

    run(settings, worker)
