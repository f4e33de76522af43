"""Tear anything in the lake, then let the sensors tick: it is as if nothing had been torn, or it is blocked with the word *lost*.

Hypothesis draws what is torn. ``make faults`` runs a fixed selection; by hand, with ``--hypothesis-profile=proofs``, a hundred.
"""

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from churn_assets.automation.jobs import FEATURES, INGEST, LABELS
from churn_assets.automation.runner import why
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import TABLES, digest_at
from churn_assets.orchestration.lake_records import verify
from churn_assets.orchestration.lost_periods import lost
from churn_store.database.migrate import migrate
from churn_store.errors import LostError
from tests.automation.company import write_company
from tests.automation.test_lost_tables import Company
from tests.fault_table import Fault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

JOBS = (INGEST, FEATURES, LABELS)
ROUNDS = 4
TORN = ("customers", "events", "payments", "events_quarantine", "customer_features", "churn_labels")

Digests = dict[str, dict[str, str]]


@dataclass
class Torn:
    """A lake to tear, and one of another company beside it."""

    lake: Lake
    foreign: Lake

    def folder(self, table: str) -> Path:
        """The folder of a table."""
        return Path(self.lake.uri(table))

    def files(self, table: str) -> list[Path]:
        """The data files of a table."""
        return sorted(self.folder(table).glob("period=*/*.parquet"))

    def log(self, table: str) -> list[Path]:
        """The commits of a table's log."""
        return sorted((self.folder(table) / "_delta_log").glob("*.json"))

    def checkpoint(self, table: str) -> Path:
        """The checkpoint of a table, made now."""
        self.lake.table(table).create_checkpoint()
        [made] = (self.folder(table) / "_delta_log").glob("*.checkpoint.parquet")
        return made


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(byte ^ 0xFF for byte in content[middle : middle + 40])
    file.write_bytes(content)


def _exchanged(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


Tear = Callable[[Torn, str, int], object]
"""What is done to a table; the number says to which of its files."""

OF_FILES: dict[str, Tear] = {
    "a data file is removed": lambda torn, table, n: torn.files(table)[n].unlink(),
    "a data file is cut off": lambda torn, table, n: torn.files(table)[n].write_bytes(
        torn.files(table)[n].read_bytes()[:200]
    ),
    "a data file is emptied": lambda torn, table, n: torn.files(table)[n].write_bytes(b""),
    "a data file has other bytes": lambda torn, table, n: _flipped(torn.files(table)[n]),
    "a data file is renamed": lambda torn, table, n: torn.files(table)[n].rename(torn.files(table)[n].with_suffix(".bak")),
    "a data file is another period's": lambda torn, table, n: shutil.copy(torn.files(table)[n - 1], torn.files(table)[n]),
    "a partition folder is removed": lambda torn, table, n: shutil.rmtree(torn.files(table)[n].parent),
    "a data file of another lake is copied over it": lambda torn, table, n: shutil.copy(
        sorted(Path(torn.foreign.uri("events")).glob("period=*/*.parquet"))[n % 3], torn.files(table)[n]
    ),
    "a data file of another lake is copied beside it": lambda torn, table, n: shutil.copy(
        sorted(Path(torn.foreign.uri("events")).glob("period=*/*.parquet"))[n % 3], torn.files(table)[n].parent
    ),
}
OF_LOG: dict[str, Tear] = {
    "a log file is removed": lambda torn, table, n: torn.log(table)[n].unlink(),
    "a log file is cut off": lambda torn, table, n: torn.log(table)[n].write_bytes(torn.log(table)[n].read_bytes()[:50]),
    "a log file is emptied": lambda torn, table, n: torn.log(table)[n].write_bytes(b""),
    "an older log is restored": lambda torn, table, n: [file.unlink() for file in torn.log(table)[n:]],
    "the checkpoint is cut off": lambda torn, table, n: torn.checkpoint(table).write_bytes(b"PAR1"),
    "the checkpoint is removed": lambda torn, table, n: torn.checkpoint(table).unlink(),
    "the log is removed": lambda torn, table, n: shutil.rmtree(torn.folder(table) / "_delta_log"),
    "the table is removed": lambda torn, table, n: shutil.rmtree(torn.folder(table)),
    "the table is a file": lambda torn, table, n: [shutil.rmtree(torn.folder(table)), torn.folder(table).write_text("x")],
    "the table is another lake's": lambda torn, table, n: [
        shutil.rmtree(torn.folder(table)),
        shutil.copytree(torn.foreign.uri(("events", "customer_features")[n % 2]), torn.folder(table)),
    ],
    "two tables are exchanged": lambda torn, table, n: _exchanged(
        torn.folder(table), torn.folder(TORN[(TORN.index(table) + 1 + n % (len(TORN) - 1)) % len(TORN)])
    ),
}


@pytest.fixture(scope="module")
def untorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Digests]]:
    """An installation of five months, the folder of another company's, and the digests of all that the first holds."""
    folder, beside = tmp_path_factory.mktemp("company"), tmp_path_factory.mktemp("foreign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHURN_CONFIG", str(folder / "churn.yaml"))
        write_company(folder, customers=300, until=dt.date(2024, 6, 1))
        with dg.DagsterInstance.local_temp(str(folder)) as instance:
            company = Company(folder, instance, says_when_known=True)
            migrate(company.settings.database_url)
            assert tick(company) == []
            foreign = Lake(str(beside / "lake"))
            for table in ("events", "customer_features"):
                few = {period: company.lake.read(table, period).head(9) for period in company.lake.periods(table)}
                foreign.replace(table, few, run_id="another company's")
            assert all(company.lake.files(table) for table in TORN if not table.endswith("quarantine"))
            yield folder, beside, digests(company.lake)


def tick(company: Company) -> list[str]:
    """Let the sensors tick until nothing more is asked for; why the runs failed that did."""
    failures: list[str] = []
    for _ in range(ROUNDS):
        requests = []
        for job in JOBS:
            try:
                requests = company.requests(job)
            except (dg.DagsterError, LostError) as error:  # a tick that fails says why, and the others go on
                failures.append(str(error.__cause__ or error))
                continue
            for request in requests:
                done = company.run(job, dict(request.tags), request.partition_key)
                failures += [] if done.success else [why(done)[0]]
        if not requests:
            break
    return failures


def digests(lake: Lake) -> Digests:
    """The digest of the rows of each period of each table."""
    return {table: digests_of(lake, table) for table in TABLES if lake.has(table)}


def digests_of(lake: Lake, table: str) -> dict[str, str]:
    """The digest of the rows of each period of a table; none of one that is not there."""
    if not lake.has(table):
        return {}
    return {period: digest_at(table, lake.read(table, period)) for period in lake.periods(table)}


@contextmanager
def torn_copy(untorn: tuple[Path, Path, Digests], into: Path) -> Iterator[tuple[Company, Torn]]:
    folder, foreign, _ = untorn
    shutil.copytree(folder, into)
    with dg.DagsterInstance.local_temp(str(into)) as instance:
        company = Company(into, instance, says_when_known=True)
        yield company, Torn(company.lake, Lake(str(foreign / "lake")))


def judge(company: Company, failures: list[str], expected: Digests) -> str:
    """Whether each table is as it was, or says that it is lost. The verdict in a word."""
    blocked = []
    for table, periods in expected.items():
        try:
            found = lost(company.instance, company.lake, table)
            now = {} if found else digests_of(company.lake, table)
        except LostError:  # Delta's log can't be read
            blocked.append(table)
            continue
        if found:
            blocked.append(table)
        else:
            assert now == periods, f"{table} is different, and green"
    assert blocked or not [said for said in failures if "lost" not in said], failures
    return "blocked" if blocked else "equal"


def test_a_torn_lake_heals_or_is_blocked_and_is_never_different_and_green(
    untorn: tuple[Path, Path, Digests], tmp_path: Path, fault: Fault
) -> None:
    fault.names("anything in the lake is torn", done=f"{len(OF_FILES) + len(OF_LOG)} ways to tear, drawn by Hypothesis")
    verdicts: list[str] = []
    began = time.monotonic()

    @given(data=st.data())
    def tears(data: st.DataObject) -> None:
        place = tmp_path / f"torn-{len(verdicts)}-{time.monotonic_ns()}"
        with torn_copy(untorn, place) as (company, torn):
            for _ in range(data.draw(st.integers(1, 2), label="tears")):
                tables = [table for table in TORN if _is_whole(torn, table)]
                if not tables:
                    break
                table = data.draw(st.sampled_from(tables), label="table")
                ways = {**OF_FILES, **OF_LOG} if torn.files(table) else OF_LOG
                how = data.draw(st.sampled_from(sorted(ways)), label="how")
                many = len(torn.files(table) if how in OF_FILES else torn.log(table))
                ways[how](torn, table, data.draw(st.integers(0, max(many - 1, 0)), label="which"))
                if how in ("a data file has other bytes",):
                    found = dict(verify(company.instance, company.lake, table))
                    note(str(found))
            verdicts.append(judge(company, tick(company), untorn[2]))
        shutil.rmtree(place)

    tears()
    each_s = (time.monotonic() - began) / len(verdicts)
    fault.held(
        f"of {len(verdicts)} torn lakes {verdicts.count('equal')} were made equal by the sensors and {verdicts.count('blocked')} say lost",
        recovered_after_s=each_s,
    )


def _is_whole(torn: Torn, table: str) -> bool:
    try:
        return bool(torn.lake.files(table)) or (torn.lake.has(table) and bool(torn.log(table)))
    except LostError:
        return False


@pytest.mark.parametrize(
    "pair", [("customer_features", "churn_labels"), ("events", "payments"), ("events", "churn_labels")]
)
def test_two_tables_that_were_exchanged_are_made_again(
    untorn: tuple[Path, Path, Digests], tmp_path: Path, fault: Fault, pair: tuple[str, str]
) -> None:
    fault.names("two tables' folders exchanged", done=" and ".join(pair))
    with torn_copy(untorn, tmp_path / "torn") as (company, torn):
        began = time.monotonic()
        _exchanged(*(torn.folder(table) for table in pair))
        assert all(lost(company.instance, company.lake, table) for table in pair)
        tick(company)
        assert digests(company.lake) == untorn[2]
        assert all(lost(company.instance, company.lake, table) == {} for table in TABLES)
    fault.held("lost, and made again by the sensors: equal rows", recovered_after_s=time.monotonic() - began)
