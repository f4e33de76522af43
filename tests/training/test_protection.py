"""An installation that trains on what is protected since: warned for one release, then refused; it loads and scores all the while."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
import yaml

from churn_assets.automation.runner import QUIET, why
from churn_assets.build import build_defs
from churn_assets.champion.card.model_card import card_of
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_store.database.migrate import migrate
from churn_store.errors import InputError
from churn_store.model.signature import Column
from churn_store.releases.manifest import Manifest, encode
from tests.bank import CONFIGURATION, bank
from tests.champion.test_card import manifest_of
from tests.release_factory import release, train

COLUMNS = (
    Column(name="age", kind="number"),
    Column(name="geography", kind="category", categories=("", "France", "Germany", "Spain")),
)
LINE = 'write `features: {allow_protected: {age: "why, by whom"}}` into churn.yaml'


@dataclass(frozen=True)
class Older:
    """A bank whose ``churn.yaml`` an older version has accepted; its release looks at the age of a customer."""

    folder: Path
    serving: ServingStore
    instance: dg.DagsterInstance

    def configured(self, **sections: Any) -> Settings:
        """Settings of its ``churn.yaml`` with other sections."""
        written = {**CONFIGURATION, "features": {}, **sections}
        (self.folder / "churn.yaml").write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
        return Settings.load()

    def serve(self, **changed: Any) -> Manifest:
        """Release a model that looks at the age, as the older version or the present one describes it."""
        made = train(COLUMNS, horizon_days=None, seed=len(changed))
        manifest = msgspec.structs.replace(made.manifest, **changed)
        release(self.serving.engine, self.serving.files, replace(made, manifest=manifest))
        return manifest

    def make_training_set(self, settings: Settings) -> tuple[bool, str]:
        """Whether it was made, and the error or the warning."""
        result = (
            build_defs(settings)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=self.instance,
                asset_selection=[
                    dg.AssetKey(name)
                    for name in ("customers", "customers_quarantine", "customer_features", "churn_labels", "training_set")
                ],
                run_config=QUIET,
                raise_on_error=False,
            )
        )
        if not result.success:
            return False, why(result)[0]
        made = newest_materialization(self.instance, "training_set")
        assert made is not None
        return True, str(made.metadata.get("protected_attributes", ""))


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    bank(1_500, today=200).write_csv(tmp_path / "customers.csv")
    (tmp_path / "churn.yaml").write_text("company: bank\n", encoding="utf-8")
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    monkeypatch.chdir(tmp_path)
    settings = Settings.load()
    migrate(settings.database_url)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield Older(tmp_path, ServingStore(settings.database_url, settings.releases_url, settings.online_url), instance)


def test_an_older_installation_is_warned_for_one_release_and_then_refused_with_the_line_to_write(older: Older) -> None:
    settings = older.configured()
    with pytest.raises(InputError, match=r"the feature age .* has the protected word age"):
        build_defs(settings)  # nobody has trained on it: a new company

    manifest = older.serve()
    assert b"protected" not in encode(manifest)  # as older code wrote it
    served = older.serving.newest_manifest()
    assert served is not None
    assert served.protected is msgspec.UNSET
    made, said = older.make_training_set(settings)
    assert (made, "one more release may be, and then training is refused" in said, LINE in said) == (True, True, True), said

    older.serve(protected={"age": ""})  # what that training releases
    made, said = older.make_training_set(settings)
    assert (made, "age: protected, and the release that serves was the last" in said, LINE in said) == (False, True, True)
    features = build_defs(settings).resolve_asset_graph().get(dg.AssetKey("customer_features"))
    assert "| age |" in str(features.metadata["catalogue"]), "what serves is scored on"

    allowed = older.configured(features={"allow_protected": {"age": "priced by it; Ann, 2026-03-01"}})
    assert older.make_training_set(allowed) == (True, "")


def test_a_feature_that_the_serving_release_does_not_know_is_refused_beside_one_that_it_knows(older: Older) -> None:
    older.serve()
    attributes = {
        **CONFIGURATION["source"]["customers"]["attributes"],
        "surname": {"column": "Geography", "kind": "category"},
    }
    customers = {**CONFIGURATION["source"]["customers"], "attributes": attributes}
    settings = older.configured(source={**CONFIGURATION["source"], "customers": customers})
    with pytest.raises(InputError, match=r"^the feature surname \(read from Geography\) has the protected word surname"):
        build_defs(settings)


def test_where_nobody_can_say_what_serves_the_graph_loads_and_nothing_is_trained(older: Older) -> None:
    settings = older.configured(store={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    assert build_defs(settings).assets
    made, said = older.make_training_set(settings)
    assert (made, "does not answer" in said) == (False, True), said


def test_an_allowance_needs_a_reason_and_a_feature(older: Older) -> None:
    for reason in ("", "  ", "-"):
        with pytest.raises(ValueError, match="age has no reason; expected why a model may see it and who says so"):
            Features.model_validate({"allow_protected": {"age": reason}})
    settings = older.configured(features={"allow_protected": {"age": "Ann", "shoe_size": "Bob"}})
    with pytest.raises(InputError, match=r"features\.allow_protected names shoe_size, which is no feature here"):
        build_defs(settings)


def test_what_tells_the_label_is_never_allowed() -> None:
    settings = Features(allow_protected={"exit_flag": "Ann says so"})
    source = {**CONFIGURATION["source"], "kind": "files"}
    attributes = {"exit_flag": {"column": "ExitFlag", "kind": "number"}, "age": {"column": "Age", "kind": "number"}}
    source["customers"] = {**source["customers"], "attributes": attributes}
    configured = Settings.model_validate({"company": "bank", "source": source, "features": settings.model_dump()})
    with pytest.raises(InputError) as refused:
        build_defs(configured)
    first, second = str(refused.value).split("\n")
    assert first.startswith("the feature exit_flag (read from ExitFlag) has the word exit")
    assert second.startswith("the feature age (read from Age) has the protected word age"), "all of them at once"


def test_the_card_prints_why_and_by_whom() -> None:
    manifest = manifest_of()
    name, other = manifest.signature.names[:2]
    allowed = msgspec.structs.replace(manifest, normalisation=2, protected={name: "priced by it; Ann", other: ""})
    card = card_of(allowed, None).markdown.replace("\\", "")
    section = card.split("Protected attributes")[1].split("The gate")[0]
    assert "priced by it; Ann" in section
    assert "nobody has said why" in section
    assert "the next one is refused without a reason in features.allow_protected" in card
    assert "Protected attributes" not in card_of(manifest, None).markdown
