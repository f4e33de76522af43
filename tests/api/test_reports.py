"""The graph's pages over HTTP: verified, immutable by digest, without scripts of their own, and nothing else of the store."""

import shutil
from pathlib import Path

import pytest

from churn_api.reports.routes import DRAWING_POLICY, PAGE_POLICY
from churn_store.reports import Report, address_of, publish
from tests.api.conftest import Installation, Service, problem
from tests.release_factory import NOW_S, Candidate

PAGE = "<!doctype html><title>Drift</title><p>no feature drifted: größer</p>"
DRAWING = "<!doctype html><script>document.title = 'drawn'</script>"


def published(installation: Installation, name: str = "drift", page: str = PAGE, drawing: str | None = DRAWING) -> Report:
    return publish(
        installation.engine,
        installation.files,
        page,
        name=name,
        title="Drift of 2026-02-01",
        verdict="no feature drifted",
        snapshot="2026-02-01",
        release="a" * 64,
        drawing=drawing,
        now_s=NOW_S,
    )


def stored(installation: Installation, digest: str) -> Path:
    return Path(installation.config.releases_url) / "sha256" / digest[:2] / digest


def test_a_page_is_what_was_published_by_name_and_by_digest(fresh: Service) -> None:
    report = published(fresh.installation)
    by_name, by_digest = fresh.get("/reports/drift"), fresh.get(f"/reports/{address_of(report.digest)}")
    for answer in (by_name, by_digest):
        assert (answer.status_code, answer.text) == (200, PAGE)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["etag"] == f'"{report.digest}"'
        assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert by_name.headers["cache-control"] == "private, no-cache"
    assert by_digest.headers["cache-control"] == "private, max-age=31536000, immutable"


def test_scripts_run_in_the_drawing_alone_and_there_in_a_sandbox(fresh: Service) -> None:
    report = published(fresh.installation)
    assert report.drawing is not None
    answer = fresh.get(f"/reports/{address_of(report.drawing)}")
    assert (answer.status_code, answer.text) == (200, DRAWING)
    assert answer.headers["content-security-policy"] == DRAWING_POLICY
    assert DRAWING_POLICY.startswith("sandbox allow-scripts; default-src 'none';")
    assert "allow-same-origin" not in DRAWING_POLICY
    assert "script" not in PAGE_POLICY
    assert not {"http:", "https:", "*"} & set(f"{DRAWING_POLICY} {PAGE_POLICY}".replace(";", " ").split())


def test_the_list_names_the_newest_first_with_its_verdict(fresh: Service) -> None:
    assert fresh.get("/reports").json() == {"reports": []}
    older = published(fresh.installation)
    newer = published(fresh.installation, page=PAGE + "newer")
    card = published(fresh.installation, name="card", drawing=None)
    told = fresh.get("/reports").json()["reports"]
    assert [one["address"] for one in told] == [f"/reports/{address_of(one.digest)}" for one in (card, newer, older)]
    assert [one["newest"] for one in told] == [True, True, False]
    assert told[1]["bytes"] == len((PAGE + "newer" + DRAWING).encode())
    assert (told[1]["verdict"], told[1]["snapshot"]) == ("no feature drifted", "2026-02-01")
    assert fresh.get("/reports/drift").text == PAGE + "newer"
    assert fresh.get(f"/reports/{address_of(older.digest)}").text == PAGE


def test_who_has_the_page_is_not_sent_it_again(fresh: Service) -> None:
    report = published(fresh.installation)
    for tags in (f'"{report.digest}"', f'W/"{report.digest}"', f'"x", "{report.digest}"', "*"):
        answer = fresh.get("/reports/drift", headers={"If-None-Match": tags})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == f'"{report.digest}"'
    assert fresh.get("/reports/drift", headers={"If-None-Match": '"another"'}).status_code == 200


def test_head_says_what_get_would_without_the_page(fresh: Service) -> None:
    published(fresh.installation)
    for path in ("/reports", "/reports/drift"):
        got = fresh.get(path)
        head = fresh.client.head(path, headers=fresh.key_header("both"))
        assert (head.status_code, head.content) == (200, b"")
        wanted = ("content-type", "content-length", "etag", "content-security-policy")
        assert [head.headers.get(name) for name in wanted] == [got.headers.get(name) for name in wanted]


@pytest.mark.parametrize("path", ["/reports", "/reports/drift"])
def test_a_report_needs_a_key_with_the_scope_read(fresh: Service, path: str) -> None:
    published(fresh.installation)
    fresh.installation.make_key("predicts", "predict")
    problem(fresh.get(path, key=None), 401)
    fresh.until(lambda: fresh.get(path, key="predicts").status_code == 403)


def test_no_other_file_of_the_store_is_sent(fresh: Service) -> None:
    manifest = fresh.installation.manifest()
    release = fresh.get("/model/version").json()["release"]
    for digest in (release, *(file.sha256 for file in manifest.files.values())):
        assert stored(fresh.installation, digest).exists()
        problem(fresh.get(f"/reports/{address_of(digest)}"), 404)


@pytest.mark.parametrize(
    "named", ["cards", "a" * 64, f"{'A' * 64}.html", f"{'a' * 64}.html", "..%2fchurn.yaml", "%64rift.html"]
)
def test_what_is_no_report_is_told_with_those_that_there_are(fresh: Service, named: str) -> None:
    published(fresh.installation)
    found = problem(fresh.get(f"/reports/{named}"), 404)
    assert "card, backtest, drift" in found["detail"] or "nothing at this address" in found["detail"]


def test_before_the_first_of_a_name_the_answer_says_which_asset_makes_it(fresh: Service) -> None:
    assert problem(fresh.get("/reports/backtest"), 404)["detail"] == (
        "No report backtest was published yet; materialize the asset backtest_report."
    )


@pytest.mark.parametrize("harm", ["gone", "changed", "longer", "shorter", "link", "folder"])
def test_a_file_that_is_not_as_it_was_published_is_not_shown(fresh: Service, harm: str) -> None:
    report = published(fresh.installation)
    file = stored(fresh.installation, report.digest)
    content = file.read_bytes()
    file.unlink()
    if harm == "link":
        (fresh.installation.home / "elsewhere").write_bytes(content)
        file.symlink_to(fresh.installation.home / "elsewhere")
    elif harm == "folder":
        file.mkdir()
    elif harm != "gone":
        file.write_bytes({"changed": content[:-1] + b"!", "longer": content + b" ", "shorter": content[:-1]}[harm])
    found = problem(fresh.get("/reports/drift"), 502)
    assert found["detail"] == (
        f"File {report.digest[:12]} of the report drift is missing or was changed; put it back, or materialize drift_report again."
    )
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    assert fresh.get("/reports/drift").text == PAGE


def test_a_row_that_claims_another_size_is_not_believed(fresh: Service) -> None:
    report = published(fresh.installation)
    with fresh.installation.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE reports SET size = 1000000000000")
    assert fresh.get("/reports/drift").text == PAGE  # the digest holds, and no more than the limit is read
    stored(fresh.installation, report.digest).write_bytes(b" " * 2_000_001)
    problem(fresh.get("/reports/drift"), 502)


def test_while_the_store_is_away_the_answer_is_to_try_again(fresh: Service) -> None:
    published(fresh.installation)
    folder = Path(fresh.installation.config.releases_url)
    shutil.move(folder, folder.with_name("away"))
    assert "does not answer" in problem(fresh.get("/reports/drift"), 503)["detail"]
    shutil.move(folder.with_name("away"), folder)
    assert fresh.get("/reports/drift").status_code == 200


def test_reports_are_shown_before_the_first_release(installation: Installation, candidate: Candidate) -> None:
    published(installation)
    with installation.serve() as service:
        assert service.get("/reports/drift").text == PAGE
