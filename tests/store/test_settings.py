"""Configuration: the environment before ``churn.yaml`` before the defaults, and every mistake named in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churn_api.settings import ServiceConfig
from churn_assets.settings.company import Settings
from churn_store.errors import InputError
from churn_store.settings import ConfigFile


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Writes the ``churn.yaml`` in force."""
    file = tmp_path / "churn.yaml"
    monkeypatch.setenv("CHURN_CONFIG", str(file))
    return lambda text: file.write_text(text, encoding="utf-8")


def test_without_a_file_everything_has_a_default_beside_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHURN_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    config = ServiceConfig.load()
    assert config.home == tmp_path / ".churn"
    assert config.database_url == f"sqlite:///{tmp_path / '.churn' / 'serving.db'}"
    assert config.spool_folder == tmp_path / ".churn" / "spool"
    assert config.cache_folder == tmp_path / ".churn" / "service"
    assert (config.service.host, config.service.port) == ("127.0.0.1", 8000)


def test_a_value_of_the_environment_goes_before_one_of_the_file(
    write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("service: {port: 9000, max_batch: 7}\nstore: {database_url: 'sqlite:////of-the-file.db'}\n")
    monkeypatch.setenv("CHURN_SERVICE__PORT", "9001")
    monkeypatch.setenv("CHURN_STORE__DATABASE_URL", "sqlite:////of-the-environment.db")
    config = ServiceConfig.load()
    assert (config.service.port, config.service.max_batch) == (9001, 7)
    assert config.database_url == "sqlite:////of-the-environment.db"


def test_the_hall_reads_a_file_that_holds_sections_of_both_wings(write: Callable[[str], object]) -> None:
    write("company: acme\nservice: {port: 9000}\ntraining: {}\n")
    assert ConfigFile.load().company == "acme"


WRONG = [
    ("compny: acme\n", "unknown compny; expected some of"),
    ("service: {prot: 1}\n", "service.prot: Extra inputs are not permitted"),
    ("service: {port: high}\n", r"service.port: .* \(found 'high'\)"),
    ("service: {port: 70000}\n", "service.port: .* less than or equal to 65535"),
    ("service: {poll_s: 0}\n", "service.poll_s: .* greater than 0"),
    ("service: {access_log_share: 2}\n", "service.access_log_share"),
    (
        "service: {max_body_bytes: 4096, max_batch_body_bytes: 2048}\n",
        "max_batch_body_bytes must be at least max_body_bytes",
    ),
    ("company: 'a b'\n", "company"),
    ("- a list\n", "expected names with values"),
    ("a: [\n", "not YAML"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text.strip() for text, _ in WRONG])
def test_a_mistake_in_the_file_is_one_line_that_names_the_place(
    write: Callable[[str], object], text: str, said: str
) -> None:
    write(text)
    with pytest.raises(InputError, match=said) as refused:
        ServiceConfig.load()
    assert "\n" not in str(refused.value)
    assert "churn.yaml" in str(refused.value)


def test_a_password_in_an_address_is_never_repeated(write: Callable[[str], object]) -> None:
    write("store: {database_url: [postgresql://user:secret@host/db]}\n")
    with pytest.raises(InputError) as refused:
        ServiceConfig.load()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "source: {kind: postgres, uri: 'postgresql://user:secret@host/db'}\n",
        "source: {kind: postgres, dsn: host=h password=secret}\n",
        "source: {kind: 'postgresql://user:secret@host/db'}\n",
        "source: 'postgresql://user:secret@host/db'\n",
        "source:\n  kind: postgres\n  url: postgresql://user:secret@host/db: x\n",
        "source: {url: 'postgresql://user:secret@host/db'\n",
    ],
)
def test_a_password_behind_a_misspelt_name_or_in_a_broken_file_is_never_repeated(
    write: Callable[[str], object], text: str
) -> None:
    write(text)
    with pytest.raises(InputError, match=r"churn\.yaml") as refused:
        Settings.load()
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_in_a_misspelt_variable_is_never_repeated(
    write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("source: {kind: postgres}\n")
    monkeypatch.setenv("CHURN_SOURCE__URI", "postgresql://user:secret@host/db")
    with pytest.raises(InputError, match=r"uri: Extra inputs") as refused:
        Settings.load()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["CHURN_SERVICE__PROT", "CHURN_PORT", "CHURN_SERVCE__PORT"])
def test_an_unknown_name_in_the_environment_is_refused(
    write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write("{}\n")
    monkeypatch.setenv(name, "1")
    with pytest.raises(InputError, match=r"service.prot|CHURN_PORT|CHURN_SERVCE__PORT"):
        ServiceConfig.load()


KUBERNETES = {
    "CHURN_PORT": "tcp://10.0.0.1:8000", "CHURN_SERVICE_HOST": "10.0.0.1", "CHURN_SERVICE_PORT": "8000",
    "CHURN_SERVICE_PORT_HTTP": "8000", "CHURN_PORT_8000_TCP": "tcp://10.0.0.1:8000", "CHURN_PORT_8000_TCP_PROTO": "tcp",
    "CHURN_PORT_8000_TCP_PORT": "8000", "CHURN_PORT_8000_TCP_ADDR": "10.0.0.1",
    "CHURN_API_SERVICE_HOST": "fd00::1", "CHURN_API_PORT": "tcp://[fd00::1]:80", "CHURN_SERVICE_SERVICE_HOST": "10.0.0.2",
    "CHURN_STORE__X_SERVICE_HOST": "10.0.0.3", "CHURN_STORE__X_PORT": "udp://10.0.0.3:53",
}  # fmt: skip
"""What a container finds of the services churn, churn-api, churn-service and churn-store--x."""


def test_what_kubernetes_says_of_its_services_is_no_setting_and_no_mistake(
    write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("service: {host: 10.9.9.9, port: 8001}\n")
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHURN_SERVICE__MAX_BATCH", "7")
    config = ServiceConfig.load()
    assert (config.service.host, config.service.port, config.service.max_batch) == ("10.9.9.9", 8001, 7)
    Settings.load()
    monkeypatch.setenv("CHURN_PROT", "8000")
    with pytest.raises(InputError, match="the environment names CHURN_PROT; expected"):
        ServiceConfig.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHURN_PORT", "8000"),
        ("CHURN_SERVICE_PORT", "8000"),
        ("CHURN_SERVICE_HOST", "::"),
        ("CHURN_SERVICE_HOST", "127.0.0.1"),
        ("CHURN_SERVICE_HOST", "example.org"),
        ("CHURN_SERVICE_MAX_BATCH", "8"),
    ],
)
def test_a_setting_with_one_underscore_too_few_is_not_taken_for_kubernetes(
    write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    write("{}\n")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name):
        ServiceConfig.load()


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "nowhere.yaml"))
    with pytest.raises(InputError, match=r"nowhere.yaml, which does not exist"):
        ServiceConfig.load()
