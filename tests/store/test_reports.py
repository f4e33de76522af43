"""Reports: what was published is what is read, the newest of a name counts, and `churn open` writes it where a browser reads it."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from churn_store.database.migrate import migrate
from churn_store.database.schema import connect
from churn_store.errors import InputError, ReleaseError
from churn_store.reports import SIZE_LIMIT, Report, ReportFile, find, newest, publish, published
from churn_store.settings import ConfigFile
from churn_store.storage.digest_store import DigestStore

CHURN = Path(sys.executable).with_name("churn")


def put(
    engine: sa.Engine, files: DigestStore, page: str = "<p>page", drawing: str | None = None, name: str = "drift"
) -> Report:
    return publish(engine, files, page, name=name, title="Drift", verdict="none", now_s=7, drawing=drawing)


def test_the_newest_of_a_name_is_the_one_that_was_published_last(engine: sa.Engine, files: DigestStore) -> None:
    assert newest(engine, "drift") is None
    first, card = put(engine, files, "one", "drawn"), put(engine, files, name="card")
    second = put(engine, files, "two")
    assert newest(engine, "drift") == second
    assert published(engine, limit=2) == [second, card]
    assert find(engine, first.digest) == ReportFile(first)
    assert first.drawing is not None
    assert find(engine, first.drawing) == ReportFile(first, is_drawing=True)
    assert ReportFile(first, is_drawing=True).read(files) == b"drawn"
    assert find(engine, "0" * 64) is None


def test_the_same_page_published_again_adds_no_row_and_an_older_one_does(engine: sa.Engine, files: DigestStore) -> None:
    put(engine, files, "one")
    put(engine, files, "one")
    assert len(published(engine, limit=9)) == 1
    put(engine, files, "two")
    put(engine, files, "one")
    assert [report.size for report in published(engine, limit=9)] == [3, 3, 3]
    assert newest(engine, "drift") == put(engine, files, "one")


def test_a_report_that_is_too_large_or_unknown_leaves_no_row(engine: sa.Engine, files: DigestStore) -> None:
    with pytest.raises(InputError, match=f"expected at most {SIZE_LIMIT:,}"):
        put(engine, files, "x" * 1_000_000, "y" * 1_000_001)
    with pytest.raises(InputError, match="there is no report lift; expected card, backtest, drift"):
        put(engine, files, name="lift")
    assert published(engine, limit=9) == []


def test_a_changed_file_is_not_read_and_the_error_says_what_makes_it_anew(engine: sa.Engine, files: DigestStore) -> None:
    report = put(engine, files)
    Path(files.url, "sha256", report.digest[:2], report.digest).write_text("<p>pagE")
    with pytest.raises(ReleaseError, match=r"the report drift can't be shown: .* materialize drift_report again"):
        ReportFile(report).read(files)
    put(engine, files)
    assert ReportFile(report).read(files) == b"<p>page"


@pytest.mark.integration
def test_churn_open_writes_the_page_and_gives_it_to_the_browser(tmp_path: Path) -> None:
    def says(*typed: str, status: int = 0, browser: str) -> str:
        found = subprocess.run(
            [CHURN, "open", *typed],
            cwd=tmp_path,
            env={"BROWSER": browser, "PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == status, found.stderr
        return found.stdout + found.stderr

    (tmp_path / "churn.yaml").write_text("home: .\n")
    settings = ConfigFile.load(home=tmp_path)
    migrate(settings.database_url)
    engine, files = connect(settings.database_url), DigestStore(settings.releases_url)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)

    missing = says("drift", status=2, browser=str(browser))
    assert missing == "churn: no report drift was published yet; materialize the asset drift_report\n"
    report = put(engine, files, "<p>page", "drawn")
    assert "expected card, backtest, drift" in says("drifts", status=2, browser=str(browser))
    assert "materialize the asset champion, or open drift" in says("card", status=2, browser=str(browser))

    printed = says("drift", browser=str(browser))
    page = tmp_path / "reports" / f"drift-{report.digest[:12]}.html"
    assert printed.splitlines() == ["Drift: none", str(page)]
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()
    assert (page.read_text(), (page.parent / f"{report.drawing}.html").read_text()) == ("<p>page", "drawn")

    without = says("drift", browser="/nowhere/browser")
    assert f"no browser was found here; open the file, or /reports/{report.digest}.html of the service" in without

    Path(files.url, "sha256", report.digest[:2], report.digest).unlink()
    assert "the report drift can't be shown" in says("drift", status=2, browser=str(browser))
