"""The stores that the service reads, as the graph asks them."""

from pathlib import Path

from churn_assets.resources.serving import ServingStore
from churn_store.database.migrate import migrate


def test_a_database_that_is_away_is_a_sentence_and_one_without_releases_is_not(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'serving.db'}"
    row, said = ServingStore(address, str(tmp_path), str(tmp_path)).newest_or_away()
    assert row is None
    assert "are not there; run `churn migrate`" in said
    assert "Traceback" not in said
    migrate(address)
    assert ServingStore(address, str(tmp_path), str(tmp_path)).newest_or_away() == (None, "")


def test_a_database_that_goes_away_later_is_one_too(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(address)
    store = ServingStore(address, str(tmp_path), str(tmp_path))
    assert store.newest_or_away() == (None, "")
    (tmp_path / "serving.db").unlink()
    assert "the serving database does not answer (OperationalError)" in store.newest_or_away()[1]
