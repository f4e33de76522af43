"""`churn data`: earlier versions of the lake's tables, training sets made again, an older lake brought up to date."""

import sys
from pathlib import Path

import click


@click.group()
def data() -> None:
    """Look at earlier versions of the lake's tables, bring them back, make training sets again, migrate an older lake."""


@data.command()
@click.argument("table")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many versions.")
def log(table: str, limit: int) -> None:
    """List the versions of TABLE, newest first: when, by which run, which periods, made from what."""
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.lake.versions import versions  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    for found in versions(Lake(Settings.load().lake_url), table, limit=limit):
        made_from = ", ".join(f"{name} {version}" for name, version in sorted(found.sources.items()))
        click.echo(
            f"version {found.number:<4} {found.written:%Y-%m-%d %H:%M:%S}  {found.run_id or found.operation.lower()}  "
            f"{_periods(found.periods)}, {found.rows:,} rows written{f', made from {made_from}' if made_from else ''}"
        )


@data.command()
@click.argument("table")
@click.argument("one", type=click.IntRange(min=0))
@click.argument("other", type=click.IntRange(min=0), required=False)
def diff(table: str, one: int, other: int | None) -> None:
    """Say by what version ONE of TABLE differs from version OTHER (default: the newest), period by period."""
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.lake.versions import differences, require_version  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    lake = Lake(Settings.load().lake_url)
    require_version(lake, table, one)
    until = lake.version(table) if other is None else other
    is_same = True
    for found in differences(lake, table, one, until):
        is_same = False
        columns = ", ".join(
            f"{name} ({rows:,})" if rows else f"{name} (in one only)" for name, rows in found.columns.items()
        )
        digests = f"{found.digests[0][:12]} -> {found.digests[1][:12]}"
        click.echo(
            f"{found.period}  {found.rows[0]:,} -> {found.rows[1]:,} rows: {found.added:,} added, {found.removed:,} removed, "
            f"{found.changed:,} changed{f' in {columns}' if columns else ''}  "
            f"{'the same rows in other files' if found.digests[0] == found.digests[1] else f'digest {digests}'}"
        )
    if is_same:
        click.echo(f"versions {one} and {until} of {table} hold the same rows")


@data.command()
@click.argument("table")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--period", "periods", multiple=True, help="Bring back only this period; may be given more than once.")
def restore(table: str, version: int, periods: tuple[str, ...]) -> None:
    """Bring VERSION of TABLE back as a new version, and tell Dagster, so that what hangs on it is made again."""
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.lake.migrate import lacking  # noqa: PLC0415
    from churn_assets.lake.restore import restore as restore_table  # noqa: PLC0415
    from churn_assets.orchestration.instance import instance_of, report_restored, require_no_run, untold  # noqa: PLC0415
    from churn_assets.orchestration.ownership import claim  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    settings = Settings.load()
    lake = Lake(settings.lake_url)
    with instance_of(Path.cwd()) as instance:
        claim(instance, settings.company, settings.lake_url)
        require_no_run(instance, table)
        before = lake.version(table)
        done = restore_table(lake, table, version, periods=periods)
        if done.version == before:
            told = untold(instance, table, done.periods, empty=None if periods else done.empty)
            report_restored(instance, table, told, of=version, version=done.version, uri=lake.uri(table))
            click.echo(
                f"{table} holds the rows of version {version} already; nothing was written"
                + (f", but Dagster was told of {_periods(tuple(told))}" if told else "")
            )
            return
        report_restored(instance, table, done.periods, of=version, version=done.version, uri=lake.uri(table))
    click.echo(
        f"{table}: version {version} is back as version {done.version} ({_periods(tuple(done.periods))}). Dagster knows the new "
        "data versions; tables made from the former rows stay as they are until their assets are materialized again"
    )
    if empty := [period for period, back in done.periods.items() if not back.rows]:
        click.echo(f"version {version} had no rows of {', '.join(empty)}; materialize {table} for them to have them again")
    if lacking(lake, table):
        click.echo(
            f"version {version} is older than the columns {', '.join(lacking(lake, table))}: run `churn data migrate`"
        )


@data.command("training-set")
@click.argument("release")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this Parquet file.")
def training_set(release: str, out: Path | None) -> None:
    """Make the training set of RELEASE again, from the table versions in its manifest, and say whether it is equal.

    RELEASE is an epoch of `churn releases`, a digest of a release or candidate (or its beginning), or NAME/VERSION of a
    model in the registry.
    """
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.resources.serving import ServingStore  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415
    from churn_assets.training.rebuild import rebuild  # noqa: PLC0415
    from churn_store.releases.resolve import find_manifest  # noqa: PLC0415

    settings = Settings.load()
    store = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    digest, manifest = find_manifest(store.engine, store.files, release)
    lake = Lake(settings.lake_url)
    rebuilt = rebuild(lake, manifest)
    roles = ", ".join(f"{rows:,} {role}" for role, rows in rebuilt.roles.items())
    versions = ", ".join(f"{table} {read.version}" for table, read in sorted(manifest.tables.items()))
    click.echo(f"release {digest[:12]} ({manifest.family}), made from {versions}\n{rebuilt.rows.height:,} rows: {roles}")
    if out is not None:
        rebuilt.rows.write_parquet(out)
        click.echo(f"written to {out}")
    click.echo(rebuilt.said)
    sys.exit(0 if rebuilt.is_equal else 1)


@data.command()
def adopt() -> None:
    """Tell the Dagster instance that its history is this company's and this lake's, after a new name or place."""
    from churn_assets.orchestration.instance import instance_in_words, instance_of  # noqa: PLC0415
    from churn_assets.orchestration.ownership import adopt as adopt_instance  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    settings = Settings.load()
    with instance_of(Path.cwd()) as instance:
        former = adopt_instance(instance, settings.company, settings.lake_url)
    was = "" if former is None else f"; before, of company {former.company} with the lake {former.lake_url}"
    click.echo(f"{instance_in_words()} is of company {settings.company} with the lake {settings.lake_url}{was}")


@data.command()
def migrate() -> None:
    """Give an older lake's tables the columns that came since, and its words the present writing; a second time does nothing."""
    from churn_assets.connectors.open_source import open_source  # noqa: PLC0415
    from churn_assets.features.feature_sets import company_features  # noqa: PLC0415
    from churn_assets.features.lake_columns import outdated  # noqa: PLC0415
    from churn_assets.lake.lake import Lake  # noqa: PLC0415
    from churn_assets.lake.migrate import migrate_lake  # noqa: PLC0415
    from churn_assets.orchestration.instance import instance_of  # noqa: PLC0415
    from churn_assets.orchestration.lake_words import migrate_words  # noqa: PLC0415
    from churn_assets.settings.company import Settings  # noqa: PLC0415

    settings = Settings.load()
    lake = Lake(settings.lake_url)
    for table, added in migrate_lake(lake).items():
        click.echo(f"{table}: added {', '.join(added)}; rows that were there have nothing in them")
    with instance_of(Path.cwd()) as instance:
        for line in migrate_words(lake, settings.source, instance):
            click.echo(line)
    features = company_features(open_source(settings), settings.source, settings.features)
    complaints = outdated(lake, features, has_time=settings.has_time)
    for complaint in complaints:
        click.echo(complaint)
    if not complaints:
        click.echo(f"the lake {lake.url} has the present columns")


def _periods(periods: tuple[str, ...]) -> str:
    """Periods in few words."""
    if len(periods) <= 3:  # noqa: PLR2004
        return ", ".join(sorted(periods)) or "no period"
    return f"{min(periods)} to {max(periods)}, {len(periods)} periods"
