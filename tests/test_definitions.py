"""The graph as Dagster loads it: which assets a shape has, and what each says of itself."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.automation.jobs import FACTS, LABELS, ORDER
from churn_assets.automation.retention import AUDIT_SCHEDULE
from churn_assets.build import build_defs
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label
from churn_store.mapping.file_settings import FilesSettings

HISTORY = {
    "customers",
    "customers_quarantine",
    "events",
    "events_quarantine",
    "payments",
    "payments_quarantine",
    "customer_features",
    "churn_labels",
    "training_set",
    "logistic_regression",
    "random_forest",
    "gradient_boosting",
    "candidate_model",
    "model_blessing",
    "champion",
    "waiting_candidates",
    "churn_scores",
    "online_features",
    "published_labels",
    "detector_benchmark",
    "drift_history",
    "drift_report",
    "quality_report",
    "monitoring_facts",
    "backtest_report",
    "performance_history",
    "performance_report",
}
AFTER_PREDICTIONS = {"published_labels", "performance_history", "performance_report"}
"""What there is only where outcomes come after predictions."""

TABLE = FilesSettings.model_validate(
    {
        "kind": "files",
        "shape": "table",
        "customers": {
            "path": "x.csv",
            "columns": {"customer_id": "id"},
            "label": {"column": "left"},
            "attributes": {"tenure": {"column": "tenure", "kind": "number"}},
        },
    }
)
PAYMENTS = FilesSettings.model_validate(
    {
        "kind": "files",
        "start": "2024-01-01",
        "payments": {"path": "x.csv", "columns": {"customer_id": "id", "occurred": "at", "amount": "amount"}},
    }
)


def names(defs: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, HISTORY),
        (TABLE, HISTORY - {"events", "events_quarantine", "payments", "payments_quarantine"} - AFTER_PREDICTIONS),
        (PAYMENTS, HISTORY - {"events", "events_quarantine"}),
    ],
    ids=["history", "table", "payments only"],
)
def test_the_graph_has_the_assets_of_its_shape_and_loads(
    tmp_path: Path, source: FilesSettings | None, expected: set[str]
) -> None:
    settings = (
        Settings(home=tmp_path)
        if source is None
        else Settings(home=tmp_path, source=source, label=Label(kind="inactivity"))
    )
    defs = build_defs(settings)
    dg.Definitions.validate_loadable(defs)
    assert names(defs) == expected
    assert {job.name for job in defs.resolve_all_job_defs()} >= set(ORDER)
    published = defs.resolve_job_def(FACTS).asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in published} == {"monitoring_facts"}, "it has no periods, and a job of its own"
    made = {key.to_user_string() for key in defs.resolve_job_def(LABELS).asset_layer.selected_asset_keys}
    assert made == {"churn_labels", "published_labels"} & expected, "labels are published in the run that makes them"
    by_hand = {asset for job in ORDER for asset in defs.resolve_job_def(job).asset_layer.selected_asset_keys}
    assert dg.AssetKey("detector_benchmark") not in by_hand, "no customer waits for a benchmark"


def test_loading_the_definitions_writes_nothing(tmp_path: Path) -> None:
    build_defs(Settings(home=tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []


def test_every_asset_says_what_it_is_whose_it_is_and_where_it_belongs(tmp_path: Path) -> None:
    for spec in build_defs(Settings(home=tmp_path)).resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.group_name != "default", spec.key
        assert spec.code_version, spec.key


def test_every_table_has_blocking_checks_for_each_of_its_periods(tmp_path: Path) -> None:
    defs = build_defs(Settings(home=tmp_path))
    checks = {spec.key: spec for asset in defs.assets or () for spec in getattr(asset, "check_specs", ())}
    kinds = {
        **dict.fromkeys(("customers", "events", "payments"), ("quarantine_share", "not_empty")),
        **dict.fromkeys(
            ("customer_features", "churn_labels", "churn_scores"), ("schema", "nulls", "ranges", "unique_keys")
        ),
    }
    for table, expected in kinds.items():
        for kind in expected:
            spec = checks[dg.AssetCheckKey(dg.AssetKey(table), kind)]
            assert spec.blocking
            assert spec.partitions_def is not None


def test_schedules_and_sensors_run_in_a_fresh_install(tmp_path: Path) -> None:
    defs = build_defs(Settings(home=tmp_path))
    schedules = list(defs.schedules or ())
    sensors = list(defs.sensors or ())
    assert {schedule.name: schedule.default_status for schedule in schedules} == {
        "verify_lake_daily": dg.DefaultScheduleStatus.RUNNING,
        AUDIT_SCHEDULE: dg.DefaultScheduleStatus.RUNNING,
    }
    assert [sensor.default_status for sensor in sensors] == [dg.DefaultSensorStatus.RUNNING] * 13
    watching = {"watch_tables", "watch_quality"}  # they read the log of every table and start nothing
    assert all((sensor.minimum_interval_seconds or 0) < 5 for sensor in sensors if sensor.name not in watching)


@pytest.mark.integration
def test_the_graph_of_the_small_company_builds_in_a_folder_whose_configuration_is_broken(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text("company: [\nsource: {kind: nonsense", encoding="utf-8")
    program = (
        "from pathlib import Path; from churn_assets.build import build_defs; from churn_assets.cli.smoke_test import SmallCompany; "
        "build_defs(SmallCompany(company='small', home=Path('home')))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_")}
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["churn.yaml"]


def test_a_snapshot_depends_on_every_earlier_period_and_dagster_walks_over_a_century_at_most(tmp_path: Path) -> None:
    """It walks over all of them in each run and for each input: over 10,000 months for a second of CPU."""
    graph = build_defs(Settings(home=tmp_path)).resolve_asset_graph()
    snapshots, customers = (graph.get(dg.AssetKey(name)) for name in ("customer_features", "customers"))
    mapping = graph.get_partition_mapping(snapshots.key, customers.key)
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert -1_400 < mapping.start_offset < -1_200
    assert snapshots.partitions_def is not None
    assert customers.partitions_def is not None
    keys = snapshots.partitions_def.get_partition_keys()
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        snapshots.partitions_def.subset_with_partition_keys([keys[-1]]), snapshots.partitions_def, customers.partitions_def
    )
    earlier = [key for key in customers.partitions_def.get_partition_keys() if key < keys[-1]]
    assert sorted(upstream.partitions_subset.get_partition_keys()) == earlier
    assert len(earlier) > 1
