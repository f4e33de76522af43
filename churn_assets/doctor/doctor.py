"""All probes in order; those that need the configuration are left out if it does not load."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from churn_assets.connectors.open_source import open_source
from churn_assets.doctor import machine, services, stores
from churn_assets.doctor.probe import ProbeResult, probed
from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.errors import ChurnError


def examine(folder: Path, *, port: int) -> Iterator[ProbeResult]:
    """Probe every part.

    Args:
        folder: folder of dagster.yaml, used if ``DAGSTER_HOME`` is not set.
        port: port on which the service may listen.
    """
    yield probed("Python", machine.python)
    yield probed("libraries", machine.libraries)
    try:
        settings = Settings.load()
        source = open_source(settings)
    except ChurnError as error:
        yield ProbeResult("churn.yaml", "failed", str(error))
        return
    lake = Lake(settings.lake_url)
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    embedded = not settings.store.database_url
    yield probed("churn.yaml", machine.configuration)
    yield probed("clock", partial(machine.clock, settings.clock))
    yield probed("home", partial(machine.home, settings.home))
    yield probed("source", partial(services.source, settings.source))
    yield probed("spark", partial(services.spark, settings.engine, settings.spark))
    yield probed("lake", partial(stores.writable, lake))
    yield probed(
        "lake's columns",
        partial(
            stores.lake_columns,
            lake,
            source,
            settings.source,
            settings.features,
            types=settings.events.types,
            has_kinds=settings.label.kinds is not None,
            store=store,
        ),
    )
    yield probed("lake's contents", partial(stores.lake_contents, folder, lake))
    yield probed("serving database", partial(stores.database, settings.database_url, embedded=embedded))
    yield probed("release", partial(stores.release, store, settings.database_url, embedded=embedded))
    yield probed("online features", partial(stores.online, settings.online_url))
    yield probed("MLflow", partial(stores.tracking, settings.tracking_uri))
    yield probed("Dagster", partial(services.dagster, folder, settings.company, settings.lake_url))
    yield probed("Dagster's daemon", partial(services.daemon, folder))
    yield probed("service", partial(services.service, port))
