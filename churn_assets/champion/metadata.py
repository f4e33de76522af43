"""What Dagster is told of the release that serves, by the asset ``champion`` and by the sensor that follows the releases."""

from typing import Any

from churn_assets.orchestration.table_writer import columns_schema
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Manifest


def facts(row: Serving | None, manifest: Manifest | None, *, published: bool, why: str) -> dict[str, Any]:
    """Metadata of ``champion``.

    Args:
        row: the newest release; None before the first.
        manifest: manifest of the champion.
        published: whether the run that tells it has published it.
        why: why this one serves, or still serves.
    """
    return {
        "published": published,
        "release": "none" if row is None else row.champion,
        "epoch": 0 if row is None else row.epoch,
        "kind": "none" if row is None else row.kind,
        "actor": "nobody" if row is None else row.actor,
        "challenger": "none" if row is None or row.challenger is None else row.challenger,
        "challenger_share": 0.0 if row is None else row.challenger_share,
        "why": why,
        "dagster/row_count": 0 if manifest is None else manifest.training_rows,
        "dagster/column_schema": columns_schema(() if manifest is None else manifest.signature.columns),
    }
