"""Labels of the lake as outcomes: of which prediction they tell, what counts before them, and what is said where they can't be used."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import StoreAwayError
from churn_store.experiments import lake_labels
from churn_store.experiments.history import read
from churn_store.experiments.plan import CONTROL, TREATMENT
from churn_store.experiments.results import LEFT_OUT, Result, results
from churn_store.outcomes import published_labels
from churn_store.outcomes.published_labels import FOLDER, Published, open_labels, published_snapshots
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import an_experiment, publish
from tests.experiments.test_results import ASKED_S, T_S, arm_of, asked, left, log, names, post, stayed
from tests.release_factory import NOW_S

SNAPSHOT = "2025-12-04"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """A migrated SQLite database: what is looked at here asks the database nothing that ``test_results`` does not."""
    url = f"sqlite:///{tmp_path / 'serving.db'}"
    migrate(url)
    found = connect(url)
    yield found
    found.dispose()


def shown(engine: sa.Engine, files: DigestStore, *, now_s: float = NOW_S) -> Result:
    return results(engine, lambda: files, read(engine, "calls"), now_s=now_s)


def sources(result: Result) -> tuple[int, int, int, int]:
    """Posted, labelled, both and differing."""
    found = result.sources
    return found.posted, found.labelled, found.both, found.differing


def states(result: Result) -> dict[str, int]:
    kinds = ("units", "open", "asked_late", "gone", "unknown", "matured")
    return {kind: count for kind in kinds if (count := sum(getattr(arm, kind) for arm in result.arms))}


def files_of(files: DigestStore) -> list[Path]:
    return [file for file in (Path(files.url) / FOLDER).rglob("*") if file.is_file() and file.name != "current.json"]


def pointer(files: DigestStore, snapshot: str = SNAPSHOT) -> Path:
    return Path(files.url) / FOLDER / snapshot / "current.json"


def test_the_lake_fills_what_was_not_posted_and_a_posted_outcome_counts_before_it(
    engine: sa.Engine, files: DigestStore
) -> None:
    an_experiment(engine, minimum_size=10)
    customers = names(400)
    log(engine, [asked(one) for one in customers])
    post(engine, [stayed(one) for one in customers[:100]])
    assert sources(shown(engine, files)) == (100, 0, 0, 0)
    publish(files, dict.fromkeys(customers[:300], True), snapshot_s=T_S)
    result = shown(engine, files)
    assert sources(result) == (100, 200, 100, 100)
    assert states(result) == {"units": 400, "unknown": 100, "matured": 300}
    assert {arm.arm: (arm.posted, arm.labelled) for arm in result.arms} == {
        arm: (
            sum(arm_of(one) == arm for one in customers[:100]),
            sum(arm_of(one) == arm for one in customers[100:300]),
        )
        for arm in (CONTROL, TREATMENT)
    }
    for arm in result.arms:
        assert arm.mean == pytest.approx(arm.posted / (arm.posted + arm.labelled)), "the posted stayed, the others left"
    assert (
        "Of 100 customers with a posted outcome and a label of the lake, 100 differ; the posted outcome counts."
        in result.cautions
    )


def test_by_labels_alone_an_effect_is_proven(engine: sa.Engine, files: DigestStore) -> None:
    an_experiment(engine)
    customers = names(2_000)
    log(engine, [asked(one) for one in customers])
    publish(
        files,
        {one: int(one[1:]) % 10 < (1 if arm_of(one) == TREATMENT else 4) for one in customers},
        snapshot_s=T_S,
    )
    result = shown(engine, files)
    assert (result.verdict, result.matured, sources(result)) == ("better", 2_000, (0, 2_000, 0, 0))
    assert result.cautions == []


def test_a_customer_who_is_asked_about_again_at_a_later_snapshot_counts_once_by_the_first_ones_label(
    engine: sa.Engine, files: DigestStore
) -> None:
    an_experiment(engine, horizon_days=20)
    later_s = T_S + 30 * DAY_S
    customers = names(400)
    log(engine, [asked(one) for one in customers])
    log(engine, [asked(one, snapshot_s=later_s, answered_s=later_s + DAY_S) for one in customers])
    publish(files, dict.fromkeys(customers, True), snapshot_s=later_s, days=20)
    assert states(shown(engine, files)) == {"units": 400, "unknown": 400}, "a later snapshot's label is about survivors"
    publish(files, dict.fromkeys(customers, False), snapshot_s=T_S, days=20)
    result = shown(engine, files)
    assert states(result) == {"units": 400, "matured": 400}
    assert {arm.mean for arm in result.arms} == {1.0}


def test_who_left_between_snapshot_and_request_counts_in_no_arm_and_who_left_before_the_snapshot_has_no_outcome(
    engine: sa.Engine, files: DigestStore
) -> None:
    an_experiment(engine)
    log(engine, [asked(one) for one in ("early", "after", "stayed", "posted", "gone before")])
    publish(
        files,
        {"early": ASKED_S - 1, "after": ASKED_S, "stayed": False, "posted": ASKED_S - 1},
        snapshot_s=T_S,
    )
    post(engine, [left("posted")])
    result = shown(engine, files)
    assert states(result) == {"units": 5, "gone": 2, "unknown": 1, "matured": 2}
    assert sources(result) == (0, 2, 0, 0)


def test_labels_count_once_they_are_mature_by_the_clock_for_all_at_once(engine: sa.Engine, files: DigestStore) -> None:
    an_experiment(engine)
    log(engine, [asked("left"), asked("stayed"), asked("posted")])
    publish(files, {"left": True, "stayed": False, "posted": False}, snapshot_s=T_S)
    post(engine, [stayed("posted")])
    closes_s, matures_s = T_S + 30 * DAY_S, T_S + 33 * DAY_S
    assert states(shown(engine, files, now_s=closes_s - 1)) == {"units": 3, "open": 3}
    waiting = shown(engine, files, now_s=matures_s - 1)
    assert (states(waiting), sources(waiting)) == ({"units": 3, "unknown": 2, "matured": 1}, (1, 0, 0, 0))
    assert f"The labels of {SNAPSHOT} are not published yet; posted outcomes count alone there." in waiting.cautions
    assert sources(shown(engine, files, now_s=matures_s)) == (1, 2, 1, 0)


def test_labels_of_another_horizon_or_snapshot_do_not_count_and_predictions_by_attributes_have_none(
    engine: sa.Engine, files: DigestStore
) -> None:
    an_experiment(engine, horizon_days=40)
    publish(files, {"c1": False, "c2": False}, snapshot_s=T_S)
    publish(files, {"c1": True}, snapshot_s=T_S - 30 * DAY_S, days=40)
    log(engine, [asked("c1"), asked("c2")])
    result = shown(engine, files)
    assert states(result) == {"units": 2, "unknown": 2}
    assert f"The labels of {SNAPSHOT} look 30 days ahead and the experiment 40, so they don't count." in result.cautions
    publish(files, {"c1": False, "c2": False}, snapshot_s=T_S, days=40)
    log(engine, [asked("c3", snapshot_s=None)])
    result = shown(engine, files)
    assert states(result) == {"units": 3, "unknown": 1, "matured": 2}
    assert any(text.startswith("1 were asked about by attributes") for text in result.cautions)


def test_outcomes_that_are_posted_for_one_arm_only_are_said(engine: sa.Engine, files: DigestStore) -> None:
    an_experiment(engine)
    customers = names(1_000)
    log(engine, [asked(one) for one in customers])
    publish(files, dict.fromkeys(customers, False), snapshot_s=T_S)
    assert shown(engine, files).cautions == []
    post(engine, [stayed(one) for one in customers if arm_of(one) == TREATMENT])
    result = shown(engine, files)
    assert result.verdict != "outcomes_broken"
    assert [text.startswith("Outcomes were posted for one arm more often") for text in result.cautions] == [True]


def torn(files: DigestStore) -> None:
    [file] = files_of(files)
    file.write_bytes(file.read_bytes()[:-100])


def gone(files: DigestStore) -> None:
    [file] = files_of(files)
    file.unlink()


def torn_pointer(files: DigestStore) -> None:
    pointer(files).write_bytes(pointer(files).read_bytes()[:-10])


def of_another_snapshot(files: DigestStore) -> None:
    """The pointer and the file of another snapshot, both whole."""
    other = publish(files, {"c1": True}, snapshot_s=T_S - 30 * DAY_S)
    content = (pointer(files, other.about.snapshot)).read_bytes()
    for file in files_of(files):
        copy = Path(files.url) / FOLDER / SNAPSHOT / "sha256" / file.name[:2] / file.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    pointer(files).write_bytes(content)


def no_labels_inside(files: DigestStore) -> None:
    """A database with a right digest and without the table."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE about (v)")
        content = connection.serialize()
    folder = files.below(f"{FOLDER}/{SNAPSHOT}")
    found = open_labels(files, SNAPSHOT)
    assert found is not None
    folder.point(msgspec.json.encode(Published(about=found.about, digest=folder.put(content), size=len(content))))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (torn, "was changed: its sha256 is now"),
        (gone, "is missing in"),
        (torn_pointer, "its pointer is torn"),
        (of_another_snapshot, "holds the labels of 2025-11-04"),
        (no_labels_inside, "it holds no labels"),
    ],
)
def test_a_damaged_file_is_named_and_left_out_and_the_others_count(
    engine: sa.Engine, files: DigestStore, damage: Callable[[DigestStore], None], said: str
) -> None:
    an_experiment(engine, horizon_days=20)
    other_s = T_S + 30 * DAY_S
    log(engine, [asked("c1"), asked("c2"), asked("c3", snapshot_s=other_s, answered_s=other_s + DAY_S)])
    publish(files, {"c1": True, "c2": False}, snapshot_s=T_S, days=20)
    damage(files)
    publish(files, {"c3": False}, snapshot_s=other_s, days=20)
    post(engine, [stayed("c2")])
    result = shown(engine, files)
    assert states(result) == {"units": 3, "unknown": 1, "matured": 2}
    assert sources(result) == (1, 1, 0, 0)
    [text] = result.sources.unread
    assert text.startswith(f"the labels of {SNAPSHOT} can't be read: ")
    assert said in text
    assert text.endswith(f"materialize published_labels of {SNAPSHOT} again")
    assert result.words.endswith(LEFT_OUT)
    assert f"{text[:1].upper()}{text[1:]}." in result.cautions
    assert result.sources.left_out == 1
    assert "1 customers whose window has closed have no outcome because of that." in result.cautions


def test_where_all_outcomes_are_posted_nobody_is_left_out_by_a_damaged_file(engine: sa.Engine, files: DigestStore) -> None:
    an_experiment(engine)
    log(engine, [asked("c1")])
    post(engine, [stayed("c1")])
    publish(files, {"c1": True}, snapshot_s=T_S)
    torn(files)
    result = shown(engine, files)
    assert (len(result.sources.unread), result.sources.left_out, result.matured) == (1, 0, 1)
    assert LEFT_OUT not in result.words


def test_a_store_that_is_away_is_asked_once_and_posted_outcomes_count(
    engine: sa.Engine, files: DigestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_experiment(engine, horizon_days=20)
    other_s = T_S + 30 * DAY_S
    log(engine, [asked("c1"), asked("c2", snapshot_s=other_s, answered_s=other_s + DAY_S)])
    post(engine, [stayed("c1")])
    calls = []

    def away(_: DigestStore) -> Sequence[str]:
        calls.append(1)
        raise StoreAwayError("the object store s3://b can't be used")

    monkeypatch.setattr(lake_labels, "published_snapshots", away)
    result = shown(engine, files)
    assert (len(calls), states(result)) == (1, {"units": 2, "unknown": 1, "matured": 1})
    assert result.sources.unread == ("the labels of the lake can't be read: the object store s3://b can't be used",)


def test_a_folder_in_place_of_which_there_is_a_file_is_said(engine: sa.Engine, files: DigestStore) -> None:
    an_experiment(engine)
    log(engine, [asked("c1")])
    (Path(files.url) / FOLDER).write_bytes(b"no folder")
    result = shown(engine, files)
    assert result.sources.unread == (
        "the labels of the lake can't be read: their folder can't be read (NotADirectoryError)",
    )


def test_a_later_version_replaces_the_pointer_and_removes_the_file_so_that_who_was_erased_is_in_none(
    engine: sa.Engine, files: DigestStore
) -> None:
    an_experiment(engine)
    log(engine, [asked("kept"), asked("erased")])
    first = publish(files, {"kept": True, "erased": True}, snapshot_s=T_S)
    assert publish(files, {"kept": True, "erased": True}, snapshot_s=T_S) == first
    assert [file.name for file in files_of(files)] == [first.digest]
    assert any(b"erased" in file.read_bytes() for file in files_of(files))
    orphan = files.below(f"{FOLDER}/{SNAPSHOT}").put(b"erased: of a run that died before it had replaced the pointer")
    second = publish(files, {"kept": False}, snapshot_s=T_S)
    assert [file.name for file in files_of(files)] == [second.digest]
    assert second.digest not in {first.digest, orphan}
    assert not any(b"erased" in file.read_bytes() for file in files_of(files))
    result = shown(engine, files)
    assert states(result) == {"units": 2, "unknown": 1, "matured": 1}
    assert published_snapshots(files) == [SNAPSHOT]


def test_a_reader_whose_file_is_replaced_under_its_hands_reads_the_next_one(
    files: DigestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(files, {"c1": True}, snapshot_s=T_S)
    pointed = published_labels._pointed
    later = [False]

    def then_replaced(folder: DigestStore) -> Published | None:
        found = pointed(folder)
        if not later[0]:
            later[0] = True
            publish(files, {"c1": False}, snapshot_s=T_S)
        return found

    monkeypatch.setattr(published_labels, "_pointed", then_replaced)
    found = open_labels(files, SNAPSHOT)
    assert found is not None
    assert found.of(["c1", "c2"]) == {"c1": (False, None)}


def test_readers_never_see_half_a_publication(files: DigestStore) -> None:
    publish(files, dict.fromkeys(names(500), True), snapshot_s=T_S)
    stop = threading.Event()

    def read_until_stopped() -> list[set[bool]]:
        seen = []
        while not stop.is_set():
            found = open_labels(files, SNAPSHOT)
            assert found is not None
            seen.append({label.churned for label in found.of(names(500)).values()})
            found.close()
        return seen

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read_until_stopped)
        for turn in range(40):
            publish(files, dict.fromkeys(names(500), turn % 2 == 0), snapshot_s=T_S, definition=f"version {turn}")
        stop.set()
        seen = reader.result()
    assert {True} in seen
    assert all(len(one) == 1 for one in seen)
