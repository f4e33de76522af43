"""What the simulator knows of judging rows: measured for its own companies, of none other, and in words for older releases too."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.champion.oracle import (
    best_auc,
    best_in_words,
    best_measures,
    hidden_state_probabilities,
    reachable_probabilities,
)
from churn_assets.settings.label import Label
from churn_assets.simulator import forward_filter
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S

HORIZON_S = 30 * DAY_S
COMPANY = SyntheticSettings(customers=600, months=3)
SNAPSHOTS_S = [int(datetime(2024, 2, day, tzinfo=UTC).timestamp()) for day in (1, 20)]


@pytest.fixture(scope="module")
def judging() -> pl.DataFrame:
    """The customers of two snapshots, in mixed order, and whether they left."""
    source = SyntheticSource(COMPANY)
    end_s = SNAPSHOTS_S[-1] + HORIZON_S
    signed_up = source.read("customers", 0, SNAPSHOTS_S[0]).rows.unique("customer_id").select("customer_id")
    left = source.read("events", 0, end_s).rows.filter(event_type="cancelled").select("customer_id", left_s="occurred_s")
    rows = signed_up.join(left, on="customer_id", how="left").join(pl.DataFrame({"snapshot_s": SNAPSHOTS_S}), how="cross")
    return (
        rows.filter(pl.col("left_s").is_null() | (pl.col("left_s") >= pl.col("snapshot_s")))
        .with_columns(churned=(pl.col("left_s") < pl.col("snapshot_s") + HORIZON_S).fill_null(value=False))
        .sample(fraction=1, shuffle=True, seed=1)
    )


def test_the_best_from_the_tables_is_below_the_hidden_state(judging: pl.DataFrame) -> None:
    measures = best_measures(SyntheticSource(COMPANY), judging, label=Label())
    assert set(measures) == {"auc_reachable", "log_loss_reachable", "auc_hidden_state"}
    assert 0.6 < measures["auc_reachable"] < measures["auc_hidden_state"]


def test_each_row_has_the_probability_of_its_own_snapshot(judging: pl.DataFrame) -> None:
    source = SyntheticSource(COMPANY)
    for probabilities in (reachable_probabilities, hidden_state_probabilities):
        whole = probabilities(source, judging, label=Label())
        assert whole is not None
        for snapshot_s in SNAPSHOTS_S:
            inside = judging.with_columns(probability=pl.Series(whole)).filter(snapshot_s=snapshot_s)
            alone = probabilities(source, inside, label=Label())
            assert alone is not None
            assert inside["probability"].to_list() == alone.tolist()


def test_nothing_is_known_of_other_tables_and_of_other_labels_than_leaving(judging: pl.DataFrame) -> None:
    own: Any = object()
    assert best_measures(own, judging, label=Label()) == {}
    for label in (Label(kind="inactivity"), Label(event=("support_ticket",))):
        assert best_measures(SyntheticSource(COMPANY), judging, label=label) == {}
    assert best_in_words({"auc": 0.7}) is None
    assert best_auc({"auc": 0.7}) == 1.0


def test_an_older_release_names_the_hidden_state_alone_and_is_held_to_it() -> None:
    older = {"auc": 0.783, "auc_ceiling": 0.804}
    assert best_auc(older) == 0.804
    words = best_in_words(older)
    assert words is not None
    assert words.startswith("not measured")
    assert "nobody reaches the hidden state's AUC of 0.804" in words


def test_a_release_names_the_best_from_the_tables_and_is_held_to_it() -> None:
    now = {"auc": 0.783, "auc_reachable": 0.789, "log_loss_reachable": 0.2001, "auc_hidden_state": 0.804}
    assert best_auc(now) == 0.789
    assert best_in_words(now) == "AUC 0.789, log loss 0.2001; nobody reaches the hidden state's AUC of 0.804"


def test_a_snapshot_is_filtered_once_for_all_processes_of_a_folder(
    judging: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reachable_probabilities(SyntheticSource(COMPANY, cache=tmp_path), judging, label=Label())
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(SNAPSHOTS_S)

    def computes(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(forward_filter.ForwardFilter, "probability_of_leaving", computes)
    again = reachable_probabilities(SyntheticSource(COMPANY, cache=tmp_path), judging, label=Label())
    assert first is not None
    assert again is not None
    assert first.tolist() == again.tolist()
    for other in (COMPANY.model_copy(update={"seed": 7}), COMPANY.model_copy(update={"monthly_churn": 0.1})):
        with pytest.raises(AssertionError, match="computed again"):
            reachable_probabilities(SyntheticSource(other, cache=tmp_path), judging, label=Label())


def test_a_broken_file_is_computed_again_and_a_folder_that_cannot_be_is_no_matter(
    judging: pl.DataFrame, tmp_path: Path
) -> None:
    first = reachable_probabilities(SyntheticSource(COMPANY, cache=tmp_path / "kept"), judging, label=Label())
    assert first is not None
    for file in (tmp_path / "kept").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for cache in (tmp_path / "kept", tmp_path / "file"):
        again = reachable_probabilities(SyntheticSource(COMPANY, cache=cache), judging, label=Label())
        assert again is not None
        assert first.tolist() == again.tolist()
