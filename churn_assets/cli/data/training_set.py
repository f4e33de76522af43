"""`churn data training-set`: the training set of a release, made again."""

import sys
from pathlib import Path

import click

from churn_assets.lake.lake import Lake
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.training.rebuild import rebuild
from churn_store.releases.resolve import find_manifest


@click.command("training-set")
@click.argument("release")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this Parquet file.")
def training_set(release: str, out: Path | None) -> None:
    """Make the training set of RELEASE again, from the table versions in its manifest, and say whether it is equal.

    RELEASE is an epoch of `churn releases`, a digest of a release or candidate (or its beginning), or NAME/VERSION of a
    model in the registry.
    """
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
    click.echo(rebuilt.comparison)
    sys.exit(0 if rebuilt.is_equal else 1)
