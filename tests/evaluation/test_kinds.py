"""What a model is worth on each kind of churn."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from churn_assets.evaluation.kinds import kinds_as_metadata, quality_by_kind, with_kinds_of
from churn_assets.lake.lake import Lake
from churn_store.releases.manifest import KindQuality

KEY = {"customer_id": ["a", "b", "c", "d", "e"], "snapshot_s": [1, 1, 1, 1, 2]}
KINDS = ["payment_failure", "voluntary", "voluntary", None, None]
JUDGING = pl.DataFrame({**KEY, "churned": [True, True, True, False, False], "churn_kind": KINDS})
SCORES = np.array([0.1, 0.9, 0.4, 0.3, 0.2])


def test_churners_of_a_kind_are_measured_beside_everybody_who_stayed() -> None:
    assert quality_by_kind(JUDGING, SCORES, threshold=0.5) == {
        "payment_failure": KindQuality(churners=1, auc=0.0, recall=0.0),
        "voluntary": KindQuality(churners=2, auc=1.0, recall=0.5),
    }


def test_a_kind_that_nobody_has_is_counted_and_not_measured() -> None:
    none_failed = JUDGING.with_columns(pl.when("churned").then(pl.lit("voluntary")).alias("churn_kind"))
    found = quality_by_kind(none_failed, SCORES, threshold=0.5)
    assert found != msgspec.UNSET
    assert found["payment_failure"] == KindQuality(churners=0, auc=None, recall=None)
    assert set(kinds_as_metadata(found)) == {
        "churners_payment_failure",
        "churners_voluntary",
        "auc_voluntary",
        "recall_voluntary",
    }


def test_rows_without_kinds_have_no_quality_by_kind() -> None:
    found = quality_by_kind(JUDGING.drop("churn_kind"), SCORES, threshold=0.5)
    assert found is msgspec.UNSET
    assert kinds_as_metadata(found) == {}


@pytest.mark.parametrize("has_kinds", [True, False])
def test_rows_of_a_training_set_get_the_kinds_that_their_labels_tell(tmp_path: Path, *, has_kinds: bool) -> None:
    lake = Lake(str(tmp_path))
    stored = JUDGING if has_kinds else JUDGING.drop("churn_kind")
    periods = {"1970-01-01": stored.filter(snapshot_s=1), "1970-01-02": stored.filter(snapshot_s=2)}
    version = lake.replace("churn_labels", periods, run_id="r").version
    rows = JUDGING.drop("churn_kind").reverse()
    found = with_kinds_of(lake, rows, labels_version=version)
    assert found.equals(JUDGING.reverse() if has_kinds else rows)
