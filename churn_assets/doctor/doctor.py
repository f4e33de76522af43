"""All probes in order. What needs a part that fails is not looked at: its advice would be about the wrong part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from churn_assets.connectors.open_source import open_source
from churn_assets.doctor import machine, services, stores
from churn_assets.doctor.probe import ProbeResult, probed
from churn_assets.doctor.quality import quality
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.instance_file import instance_file_in_words
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_store.errors import ChurnError

HOME = ("home",)


@dataclass(frozen=True)
class Part:
    """A part of the set-up.

    Attributes:
        name: name of the part.
        probe: function that looks at it.
        above: parts that it needs: if one of them fails, there is nothing to say of this one.
    """

    name: str
    probe: Callable[[], str]
    above: tuple[str, ...] = ()


def examine(folder: Path, *, port: int | None = None) -> Iterator[ProbeResult]:
    """Probe every part.

    Args:
        folder: folder of dagster.yaml, used if ``DAGSTER_HOME`` is not set.
        port: port on which the service may listen; default: that of the settings.
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
    at_home = partial(_lies_in, settings.home)
    yield probed("churn.yaml", machine.configuration)
    parts = [
        Part("home", partial(machine.home, settings.home)),
        Part("disk", partial(machine.room, settings.home), HOME),
        Part("clock", partial(machine.clock, settings.clock), HOME if embedded else ()),
        Part("source", partial(services.source, settings.source)),
        Part("spark", partial(services.spark, settings.engine, settings.spark)),
        Part("lake", partial(stores.writable, lake), at_home(settings.lake_url)),
        Part(
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
            ("lake",),
        ),
        Part("Dagster", partial(services.dagster, folder, settings.company, settings.lake_url)),
        Part("dagster.yaml", partial(instance_file_in_words, folder)),
        Part("Dagster's daemon", partial(services.daemon, folder), ("Dagster",)),
        Part("lake's contents", partial(stores.lake_contents, folder, lake), ("lake", "Dagster")),
        Part(
            "data's quality",
            partial(
                quality,
                folder,
                lake,
                settings.timeline,
                settings.raw_tables,
                clock=settings.clock,
                rules=settings.quality,
            ),
            ("lake", "Dagster", "clock"),
        ),
        Part(
            "serving database",
            partial(stores.database, settings.database_url, settings.releases_url, embedded=embedded),
            HOME if embedded else (),
        ),
        Part(
            "release",
            partial(stores.release, store, settings.database_url, embedded=embedded),
            ("serving database", *at_home(settings.releases_url)),
        ),
        Part("online features", partial(stores.online, settings.online_url), at_home(settings.online_url)),
        Part(
            "MLflow",
            partial(stores.tracking, folder, settings.tracking_uri, settings.experiment),
            () if settings.tracking.uri else HOME,
        ),
        Part("service", partial(services.service, settings.service.port if port is None else port)),
    ]
    failed: set[str] = set()
    for part in parts:
        cause = next((above for above in part.above if above in failed), None)
        if cause is not None:
            yield ProbeResult(part.name, "follows", f"not looked at, as {cause} fails")
            failed.add(part.name)
            continue
        result = probed(part.name, part.probe)
        if result.state == "failed":
            failed.add(part.name)
        yield result


def _lies_in(home: Path, url: str) -> tuple[str, ...]:
    """The part above a store: the folder of all state, if it lies in there."""
    is_folder = "://" not in url
    return HOME if is_folder and Path(url).absolute().is_relative_to(home.absolute()) else ()
