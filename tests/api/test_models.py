"""``/model/version`` and ``/models`` tell the truth: what the manifest says, and what the table ``releases`` says."""

from datetime import UTC, datetime

import msgspec
import pytest

from churn_api.releases.responses import ModelVersion, Releases
from churn_api.releases.routes import SHOWN
from churn_store.releases.bundles import stage
from churn_store.releases.log import history, newest, publish
from churn_store.releases.manifest import SINCE
from tests.api.conftest import Installation, Service, problem
from tests.release_factory import NOW_S, Candidate, bless


def test_the_version_is_the_manifest_of_what_serves(service: Service) -> None:
    told = msgspec.json.decode(service.get("/model/version").content, type=ModelVersion)
    manifest, row = service.installation.manifest(), newest(service.installation.engine)
    for name in (
        "family", "label", "horizon_days", "threshold", "metrics", "trained_on", "training_rows", "judged_on",
        "judging_rows", "tables", "mlflow", "code_commit",
    ):  # fmt: skip
        assert getattr(told, name) == getattr(manifest, name), name
    assert (told.release, told.epoch, told.actor, told.reason) == (row.champion, row.epoch, row.actor, row.reason)
    assert told.published == datetime.fromtimestamp(row.published_s, UTC)
    assert (told.blessing, told.blessed_by) == (manifest.blessing.verdict, manifest.blessing.actor)
    assert told.blessing_reasons == manifest.blessing.reasons
    assert (told.role, told.from_cache, told.not_taken) == ("champion", False, None)
    assert told.since == datetime.fromtimestamp(NOW_S, UTC)


def test_the_models_are_the_rows_of_the_table_newest_first(
    fresh: Service, candidate: Candidate, other_candidate: Candidate
) -> None:
    fresh.installation.release(other_candidate, reason="better on January")
    fresh.installation.release(candidate, reason="back to the first")
    fresh.until(lambda: fresh.get("/model/version").json()["epoch"] == 3)
    told = msgspec.json.decode(fresh.get("/models").content, type=Releases).releases
    rows = history(fresh.installation.engine)
    assert [(one.epoch, one.release, one.actor, one.reason) for one in told] == [
        (row.epoch, row.champion, row.actor, row.reason) for row in rows
    ]
    assert [one.serves for one in told] == [True, False, False]
    assert [one.reason for one in told] == ["back to the first", "better on January", "test"]
    assert told[0].release == told[2].release != told[1].release


def test_the_models_are_at_most_so_many(fresh: Service) -> None:
    with fresh.installation.engine.begin() as connection:
        for epoch in range(2, SHOWN + 10):
            connection.exec_driver_sql(
                "INSERT INTO releases (epoch, champion, actor, reason, published_s) SELECT ?, champion, 'x', 'x', 0 "
                "FROM releases WHERE epoch = 1",
                (epoch,),
            )
    told = fresh.get("/models").json()["releases"]
    assert [one["epoch"] for one in told] == list(range(SHOWN + 9, 9, -1))


def test_an_overridden_release_says_so(installation: Installation, candidate: Candidate) -> None:
    staged = stage(installation.files, candidate.contents, candidate.manifest)
    blessing = bless(installation.engine, staged, "overridden")
    publish(
        installation.engine, installation.files, staged, blessing, read_epoch=0, actor="Ada", reason="I know", now_s=NOW_S
    )
    with installation.serve() as service:
        told = service.get("/model/version").json()
    assert (told["blessing"], told["blessed_by"], told["actor"]) == ("overridden", "gate", "Ada")
    assert told["blessing_reasons"][0].startswith("auc: FAILED")


def test_before_the_first_release_the_version_is_a_503_and_the_list_is_empty(installation: Installation) -> None:
    with installation.serve() as service:
        assert problem(service.get("/model/version"), 503)["type"] == "urn:churn:problem:no-release"
        assert service.get("/models").json() == {"releases": []}


def test_without_the_database_the_list_is_a_503_and_predictions_go_on(fresh: Service) -> None:
    fresh.installation.engine.dispose()
    with fresh.installation.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE releases RENAME TO away")
    assert problem(fresh.get("/models"), 503)["type"] == "urn:churn:problem:database-away"
    fresh.until(lambda: fresh.get("/health/detailed").json()["release"]["reason"] == "database")
    assert fresh.get("/predict/c1").status_code == 200
    assert fresh.get("/health/ready").status_code == 200
    with fresh.installation.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO releases")
    fresh.until(lambda: fresh.get("/health").json()["status"] == "ready")


@pytest.mark.parametrize("path", ["/model/version", "/models"])
def test_both_need_the_scope_read(fresh: Service, path: str) -> None:
    fresh.installation.make_key("predict", "predict")
    fresh.until(lambda: fresh.get("/predict/c1", key="predict").status_code == 200)
    problem(fresh.get(path, key="predict"), 403)
    problem(fresh.get(path, key=None), 401)


def test_the_version_says_what_the_model_was_found_to_be_worth(service: Service) -> None:
    told = msgspec.json.decode(service.get("/model/version").content, type=ModelVersion)
    manifest = service.installation.manifest()
    assert told.evaluation == manifest.evaluation
    assert (told.parameters, told.calibrated_on, told.population, told.purpose) == (
        manifest.parameters, manifest.calibrated_on, manifest.population, manifest.purpose,
    )  # fmt: skip
    assert service.get("/model/version").json()["evaluation"]["intervals"]["auc"] == {
        "value": 0.8,
        "low": 0.75,
        "high": 0.85,
    }


def test_a_release_of_an_older_format_says_nothing_of_what_it_was_not_told(
    installation: Installation, candidate: Candidate
) -> None:
    older = msgspec.structs.replace(candidate.manifest, format=1, **dict.fromkeys([*SINCE[2], *SINCE[3]], msgspec.UNSET))
    installation.release(Candidate(older, candidate.contents, candidate.pipeline))
    with installation.serve() as service:
        told = service.get("/model/version").json()
    assert [told[name] for name in SINCE[2]] == [None] * len(SINCE[2])
    assert told["release"] == newest(installation.engine).champion
