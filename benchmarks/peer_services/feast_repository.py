"""Makes a Feast repository with one feature view, and loads its online store: ``feast_repository.py CUSTOMERS FOLDER``."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Write the customers, describe them, and put them online."""
    rows, folder = pd.read_json(sys.argv[1]), Path(sys.argv[2])
    (folder / "feature_store.yaml").write_text(
        "project: churn\nprovider: local\nregistry: registry.db\nonline_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: file}\nentity_key_serialization_version: 3\n"
    )
    rows["event_timestamp"] = NOW - timedelta(days=1)
    file = folder / "customers.parquet"
    rows.to_parquet(file)
    names = [name for name in rows.columns if name not in ("customer_id", "event_timestamp")]
    view = FeatureView(
        name="customers",
        entities=[customer := Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)],
        ttl=timedelta(days=0),
        schema=[Field(name=name, dtype=String if rows[name].dtype == object else Float64) for name in names],
        source=FileSource(path=str(file), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([customer, view])
    store.materialize(NOW - timedelta(days=2), NOW)


if __name__ == "__main__":
    main()
