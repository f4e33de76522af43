"""An instance is one company's and one lake's: another is refused by name, a moved one is known again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.lake.identity import NAME, ensure_lake_id, lake_id
from churn_assets.orchestration.instance import instance_of
from churn_assets.orchestration.ownership import adopt, claim, owner_of, require_not_another, require_own
from churn_store.errors import InputError, StoreAwayError
from tests.store.object_storage import ObjectStorage

pytestmark = pytest.mark.integration

KEPT = Path(__file__).parents[1] / "store" / "older" / "installation-of-3c5aea9.tar.xz"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def test_an_instance_is_of_who_uses_it_first_and_another_company_is_refused_by_name(
    instance: dg.DagsterInstance, lake: str, tmp_path: Path
) -> None:
    claim(instance, "acme", lake)
    claim(instance, "acme", lake)
    other = str(tmp_path / "other")
    for refuses in (claim, require_own, require_not_another):
        with pytest.raises(InputError) as refused:
            refuses(instance, "shop", other)
        said = str(refused.value)
        assert f"holds the history of company acme with the lake {lake}" in said
        assert f"is of company shop with the lake {other}; set DAGSTER_HOME to a folder of its own for shop" in said
    assert lake_id(other) is None, "a refusal leaves the other lake as it is"


def test_another_company_with_the_same_lake_is_refused_too(instance: dg.DagsterInstance, lake: str) -> None:
    claim(instance, "acme", lake)
    with pytest.raises(InputError, match=r"of company acme .* of company shop"):
        require_own(instance, "shop", lake)


def test_another_lake_of_a_company_of_the_same_name_is_refused(
    instance: dg.DagsterInstance, lake: str, tmp_path: Path
) -> None:
    claim(instance, "synthetic", lake)
    ensure_lake_id(str(tmp_path / "other"))
    with pytest.raises(InputError, match="other"):
        claim(instance, "synthetic", str(tmp_path / "other"))


def test_a_moved_lake_is_known_again_and_its_new_place_remembered(
    instance: dg.DagsterInstance, lake: str, tmp_path: Path
) -> None:
    claim(instance, "acme", lake)
    moved = str(tmp_path / "moved")
    Path(lake).rename(moved)
    require_own(instance, "acme", moved)
    owner = owner_of(instance)
    assert owner is not None
    assert (owner.lake_url, owner.lake_id) == (moved, lake_id(moved))


def test_a_lake_that_was_removed_is_begun_anew_at_its_place(
    instance: dg.DagsterInstance, lake: str, tmp_path: Path
) -> None:
    claim(instance, "acme", lake)
    shutil.rmtree(lake)
    claim(instance, "acme", lake)
    Path(lake).rename(tmp_path / "moved")
    claim(instance, "acme", str(tmp_path / "moved"))


def test_an_instance_is_handed_over_when_somebody_says_so(instance: dg.DagsterInstance, lake: str) -> None:
    claim(instance, "acme", lake)
    former = adopt(instance, "acme_ltd", lake)
    assert former is not None
    assert former.company == "acme"
    require_own(instance, "acme_ltd", lake)


def test_who_only_looks_writes_nothing(instance: dg.DagsterInstance, lake: str) -> None:
    require_not_another(instance, "acme", lake)
    assert owner_of(instance) is None
    assert not Path(lake).exists()


def test_an_id_that_is_there_stays(lake: str) -> None:
    assert ensure_lake_id(lake) == ensure_lake_id(lake) == (Path(lake) / NAME).read_text()


def test_an_older_installation_is_adopted_wherever_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    shutil.unpack_archive(KEPT, tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    lake = str(tmp_path / ".churn" / "lake")
    with instance_of(tmp_path) as instance:
        runs = instance.get_runs_count()
        assert runs > 0
        claim(instance, "synthetic", lake)
    with instance_of(tmp_path) as instance:
        owner = owner_of(instance)
        assert owner is not None
        assert (owner.company, owner.lake_url) == ("synthetic", lake)
        assert instance.get_runs_count() == runs
        with pytest.raises(InputError, match="holds the history of company synthetic"):
            claim(instance, "shop", str(tmp_path / "other"))
    elsewhere = tmp_path.with_name("elsewhere")
    tmp_path.rename(elsewhere)
    monkeypatch.chdir(elsewhere)
    with instance_of(elsewhere) as instance:
        claim(instance, "synthetic", str(elsewhere / ".churn" / "lake"))


def test_a_lake_in_an_object_store_has_one_id_too(instance: dg.DagsterInstance, s3: ObjectStorage, tmp_path: Path) -> None:
    url = s3.new_bucket()
    assert lake_id(url) is None
    claim(instance, "acme", url)
    assert ensure_lake_id(url) == lake_id(url)
    with pytest.raises(InputError, match="company acme"):
        claim(instance, "acme", str(tmp_path))
    with s3.away(), pytest.raises(StoreAwayError):
        claim(instance, "acme", f"{url}/moved")
