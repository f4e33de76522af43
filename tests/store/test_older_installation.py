"""An installation that the commit b8fe0f8 made, with two releases and a rejected candidate: migrated, it serves on.

``older/installation-of-b8fe0f8.tar.xz`` holds its ``serving.db`` (revision 0001) and its release files (manifests of format 1);
the prediction log was cut to a few rows and the rejected candidate's model left out.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from churn_assets.monitoring.reference_rows import importances_of
from churn_store.database import schema
from churn_store.database.intake import Sender
from churn_store.database.migrate import MIGRATIONS, migrate, require_migrated
from churn_store.database.schema import connect
from churn_store.errors import FencedError
from churn_store.experiments.history import running
from churn_store.monitoring.baselines import Baseline, baseline_now, pin, reference_of
from churn_store.releases.approval import approve
from churn_store.releases.blessings import newest_blessing
from churn_store.releases.bundles import load_bundle, load_manifest
from churn_store.releases.lifecycle import states, waiting
from churn_store.releases.log import history, newest
from churn_store.releases.manifest import SINCE, encode
from churn_store.releases.reference_sample import read_sample
from churn_store.releases.resolve import find_manifest
from churn_store.releases.rollback import roll_back
from churn_store.reports import ReportFile, publish, published
from churn_store.reports import newest as newest_report
from churn_store.storage.digest_store import DigestStore
from churn_store.surveys.log import Submission, record, versions_of
from churn_store.treatments.log import Treatment
from churn_store.treatments.log import record as record_treatments
from churn_store.treatments.newest import newest_between
from tests.release_factory import NOW_S, bless, release, train

pytestmark = pytest.mark.integration

ARCHIVE = Path(__file__).parent / "older" / "installation-of-b8fe0f8.tar.xz"

FIRST, SECOND = (
    "1b6e158d6e17d24a546c8e45a0735d5e65628861dc2d0520389052222e6e40d7",
    "975f0f5e16e453671a06f495beee671238b78f1015094f8383329c439bd756ed",
)
CANDIDATES = {
    FIRST: "d579f82f87512ae8f1091ca2ec8c2e6387115157aa197621b3477576e1af68b2",
    SECOND: "b6a4709cf4197f53211f36cc186a425f6578fa8a0d20b973898d735742adba1c",
}
REJECTED = "0fce98b50484556071f1a35c58bc719bc5629bc442db53fec8560b8e1fe5aab3"
ROWS = {"releases": 2, "blessings": 3, "prediction_log": 28}
ADA: dict[str, Any] = {"by": "ada", "reason": "she knows", "now_s": NOW_S}


@pytest.fixture
def files(tmp_path: Path) -> DigestStore:
    shutil.unpack_archive(ARCHIVE, tmp_path)
    return DigestStore(str(tmp_path / "releases"))


@pytest.fixture
def older(empty_database: str, files: DigestStore, tmp_path: Path) -> Iterator[sa.Engine]:
    """The older database as it was, its rows brought to PostgreSQL as well."""
    found = connect(f"sqlite:///{tmp_path / 'serving.db'}")
    if empty_database.startswith("sqlite"):
        yield found
    else:
        yield (there := copied(found, empty_database))
        there.dispose()
    found.dispose()


def copied(source: sa.Engine, address: str) -> sa.Engine:
    target = connect(address)
    with target.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        connection.commit()
    before = sa.MetaData()
    before.reflect(source, only=list(ROWS))
    with source.connect() as reading, target.begin() as writing:
        for name in ROWS:
            rows = [dict(row._mapping) for row in reading.execute(before.tables[name].select())]
            for row in rows:
                row.pop("id", None)  # counted by the database, in the same order
            writing.execute(table_of(target, name).insert(), rows)
    return target


def table_of(engine: sa.Engine, name: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), autoload_with=engine)


@pytest.fixture
def engine(older: sa.Engine) -> sa.Engine:
    """Migrated."""
    migrate(older.url.render_as_string(hide_password=False))
    require_migrated(older)
    return older


def everything(engine: sa.Engine, names: dict[str, list[str]]) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        found: dict[str, list[Any]] = {}
        for name, columns in names.items():
            table = table_of(engine, name)
            found[name] = list(connection.execute(sa.select(*(table.c[column] for column in columns))).all())
        return found


def test_migrating_adds_columns_and_changes_no_old_value(older: sa.Engine) -> None:
    columns = {name: [column.name for column in table_of(older, name).columns] for name in ROWS}
    before = everything(older, columns)
    assert {name: len(rows) for name, rows in before.items()} == ROWS
    migrate(older.url.render_as_string(hide_password=False))
    assert everything(older, columns) == before
    assert {column.name for column in table_of(older, "releases").columns} - set(columns["releases"]) == {"kind", "gain"}


def test_an_older_installation_has_no_report_and_takes_one(engine: sa.Engine, files: DigestStore) -> None:
    assert published(engine, limit=1) == []
    report = publish(engine, files, "<p>page", name="card", title="Card", verdict="accepted", now_s=NOW_S)
    assert newest_report(engine, "card") == report
    assert ReportFile(report).read(files) == b"<p>page"


def test_an_older_release_is_its_own_baseline_and_another_can_be_pinned(engine: sa.Engine, files: DigestStore) -> None:
    counts = baseline_now(engine)
    assert counts == Baseline(SECOND, SECOND)
    assert read_sample(reference_of(files, counts)).height > 100
    assert pin(engine, files, "1", **ADA).baseline == FIRST
    assert importances_of(load_manifest(files, SECOND)) == {}


def test_an_older_installation_has_no_answers_to_surveys_and_takes_one(engine: sa.Engine) -> None:
    assert versions_of(engine, "c1", limit=9) == []
    sent = Submission("c1", "satisfaction", {"score": 3.0}, None, "k1")
    assert record(engine, sent, key_id="key1", request_id="r", now_s=NOW_S).version == 1
    assert [one.version for one in versions_of(engine, "c1", limit=9)] == [1]


def test_an_older_installation_has_no_treatments_and_takes_them(engine: sa.Engine) -> None:
    assert list(newest_between(engine, 0, int(NOW_S))) == []
    sent = [
        Treatment("c1", 1_700_000_000, "phone", "discount", True, 0.9, "k1"),
        Treatment("c2", 1_700_000_000, treated=False),
    ]
    taken = record_treatments(engine, sent, Sender("key1", "r", NOW_S, "request", "1" * 64))
    assert (taken.added, taken.replayed) == (2, False)
    assert record_treatments(engine, sent, Sender("key1", "r", NOW_S, "request", "1" * 64)).replayed
    assert [(one.customer_id, one.treated, one.propensity) for one in newest_between(engine, 0, int(NOW_S))] == [
        ("c1", True, 0.9), ("c2", False, None),
    ]  # fmt: skip


def test_a_migration_that_was_killed_behind_the_table_makes_the_indexes_when_it_runs_again(older: sa.Engine) -> None:
    wanted = {index.name for index in schema.reports.indexes}
    schema.metadata.create_all(older, tables=[schema.reports])
    with older.begin() as connection:
        for index in schema.reports.indexes:
            index.drop(connection)
    migrate(older.url.render_as_string(hide_password=False))
    assert {index["name"] for index in sa.inspect(older).get_indexes("reports")} == wanted
    assert len(wanted) == 3


def test_an_older_key_stays_as_it_was_and_has_one_secret_and_no_use(older: sa.Engine) -> None:
    key = {"key_id": "0123456789ab", "name": "Ada", "secret_sha256": "0" * 64, "scopes": ["read"], "created_s": 1}
    with older.begin() as connection:
        connection.execute(table_of(older, "api_keys").insert().values(key))
    migrate(older.url.render_as_string(hide_password=False))
    with older.connect() as connection:
        found = connection.execute(schema.api_keys.select().where(schema.api_keys.c.key_id == key["key_id"])).one()
    assert {name: found._mapping[name] for name in key} == key
    assert (found.former_sha256, found.former_until_s, found.rotated_s, found.last_used_s) == (None,) * 4


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_migration_that_was_killed_between_its_tables_is_completed(older: sa.Engine, done: int) -> None:
    with older.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys ADD COLUMN former_sha256 VARCHAR(64)")
    made = [schema.outcomes, schema.outcome_keys, schema.audit_log][:done]
    schema.metadata.create_all(older, tables=made)
    with older.begin() as connection:
        for index in (index for table in made for index in table.indexes):
            index.drop(connection)
    migrate(older.url.render_as_string(hide_password=False))
    with older.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_an_older_prediction_is_in_no_experiment(engine: sa.Engine) -> None:
    log = schema.prediction_log
    with engine.connect() as connection:
        rows = connection.execute(sa.select(log.c.experiment, log.c.arm, log.c.unit)).all()
    assert rows == [(None, None, None)] * ROWS["prediction_log"]
    assert running(engine) is None


@pytest.mark.parametrize("done", range(4))
def test_a_migration_to_experiments_that_was_killed_midway_is_completed(older: sa.Engine, done: int) -> None:
    steps = [
        lambda: add_column(older, "experiment VARCHAR(60)"),
        lambda: add_column(older, "arm VARCHAR(20)"),
        lambda: schema.metadata.create_all(older, tables=[schema.experiments]),
        lambda: schema.metadata.create_all(older, tables=[schema.experiment_events]),
    ]
    for step in steps[: done + 1]:
        step()
    migrate(older.url.render_as_string(hide_password=False))
    with older.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def add_column(engine: sa.Engine, column: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE prediction_log ADD COLUMN {column}")


def test_the_older_rows_mean_what_they_meant(engine: sa.Engine) -> None:
    assert [(row.epoch, row.champion, row.kind, row.gain, row.challenger) for row in history(engine)] == [
        (2, SECOND, "released", None, None),
        (1, FIRST, "released", None, None),
    ]


def test_the_older_verdicts_are_read_back_whole(engine: sa.Engine, files: DigestStore) -> None:
    for release_, candidate in CANDIDATES.items():
        assert newest_blessing(engine, candidate) == load_manifest(files, release_).blessing
    rejected = newest_blessing(engine, REJECTED)
    assert rejected.verdict == "rejected"
    assert [rule.name for rule in rejected.rules if not rule.passed] == ["auc_above_floor", "not_worse_than_champion"]
    assert (rejected.rules[0].found, rejected.rules[0].allowed) == ("0.7133", "at least 0.93")


def test_the_digests_of_the_older_release_are_what_they_were(files: DigestStore) -> None:
    for release_, candidate in CANDIDATES.items():
        manifest = load_manifest(files, release_)
        assert manifest.format == 1
        assert all(getattr(manifest, name) is msgspec.UNSET for names in SINCE.values() for name in names)
        assert manifest.candidate == candidate
        assert files.put(encode(manifest)) == release_


def test_the_older_release_is_loaded_and_scores_as_it_did(engine: sa.Engine, files: DigestStore) -> None:
    bundle = load_bundle(files, newest(engine).champion)  # replays its golden rows
    assert bundle.digest == SECOND
    with engine.connect() as connection:
        log = schema.prediction_log
        answered = connection.execute(sa.select(log).where(log.c.release == SECOND)).all()
    assert len(answered) > 3
    scores = bundle.scorer.score_rows([row.features for row in answered])
    assert [round(score, 6) for score in scores] == [round(row.probability, 6) for row in answered]


def test_the_older_candidates_have_a_state_and_a_name(engine: sa.Engine, files: DigestStore) -> None:
    assert states(engine, files) == {REJECTED: "rejected", CANDIDATES[SECOND]: "champion", CANDIDATES[FIRST]: "retired"}
    assert waiting(engine, files) == []
    assert find_manifest(engine, files, "1b6e")[0] == FIRST
    assert find_manifest(engine, files, "2")[0] == SECOND


def test_a_rollback_goes_back_to_an_older_release_and_from_a_new_one(engine: sa.Engine, files: DigestStore) -> None:
    assert roll_back(engine, files, **ADA).champion == FIRST
    release(engine, files, train())
    assert roll_back(engine, files, **ADA).champion == FIRST
    assert roll_back(engine, files, **ADA, to=2).champion == SECOND
    assert [row.epoch for row in history(engine)] == [6, 5, 4, 3, 2, 1]


def test_a_verdict_of_the_older_code_approves_nothing_against_a_champion_that_it_does_not_name(
    engine: sa.Engine, files: DigestStore
) -> None:
    bless(engine, load_manifest(files, REJECTED), "accepted")
    with pytest.raises(FencedError, match="was compared with no champion"):
        approve(engine, files, REJECTED, **ADA)


def test_a_migration_that_was_killed_midway_is_completed(older: sa.Engine) -> None:
    with older.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE releases ADD COLUMN kind VARCHAR(20) NOT NULL DEFAULT 'released'")
        connection.exec_driver_sql("ALTER TABLE blessings ADD COLUMN rules JSON")
    migrate(older.url.render_as_string(hide_password=False))
    assert [row.kind for row in history(older)] == ["released"] * 2
    assert len(newest_blessing(older, REJECTED).rules) == 6


def test_a_verdict_whose_words_can_not_be_read_releases_nothing(older: sa.Engine) -> None:
    with older.begin() as connection:
        connection.execute(
            table_of(older, "blessings").insert().values(
                id=9, candidate="c" * 64, verdict="accepted", reasons=["nobody knows why"], actor="a", decided_s=1
            )
        )  # fmt: skip
    migrate(older.url.render_as_string(hide_password=False))
    found = newest_blessing(older, "c" * 64)
    assert found.rules == ()
    assert not found.releasable
