"""The table ``quality_profiles``: the profiles of the periods that stand, so that a new one is judged without reading them again.

A profile counts only as long as the period has the rows that it was made from, by their data version. One that is missing or outdated, as
after an upgrade or a restore, is made again from the rows.

Belongs here: the form of the table, writing and reading it. Does not belong here: what a profile says (``profile``).
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.quality.profile import Profile

TABLE: Final = "quality_profiles"

FORM: Final = f"1 {pl.__version__}"
"""The form of a profile: its digests are those of this version of Polars."""

SCHEMA: Final = {
    "of_period": pl.String,
    "version": pl.String,
    "form": pl.String,
    "rows": pl.Int64,
    "newest_s": pl.Int64,
    "profile": pl.String,
}
"""The columns: one row a period, with the profile of its columns as JSON. The profiles of a table lie together, so the partition ``period``
holds the table's name."""


def read_profiles(lake: Lake, table: str, versions: Mapping[str, str]) -> dict[str, Profile]:
    """The profiles of a table by period, of those periods whose rows are as they were.

    Args:
        lake: lake of the company.
        table: name of the table.
        versions: data version of each period that stands.

    Raises:
        LostError: if the profiles can't be read.
    """
    if not lake.has(TABLE):
        return {}
    rows = lake.read(TABLE, table).filter(pl.col("form") == FORM)
    return {
        period: msgspec.json.decode(profile, type=Profile)
        for period, version, profile in rows.select("of_period", "version", "profile").iter_rows()
        if versions.get(period) == version
    }


def write_profiles(lake: Lake, table: str, profiles: Mapping[str, tuple[str, Profile]], *, run_id: str) -> None:
    """Keep the profiles of a table, in place of all that were kept.

    Args:
        lake: lake of the company.
        table: name of the table.
        profiles: data version and profile by period.
        run_id: id of the run that made them.
    """
    rows: list[tuple[Any, ...]] = [
        (period, version, FORM, profile.rows, profile.newest_s, msgspec.json.encode(profile).decode())
        for period, (version, profile) in sorted(profiles.items())
    ]
    lake.replace(TABLE, {table: pl.DataFrame(rows, schema=SCHEMA, orient="row")}, run_id=run_id)
