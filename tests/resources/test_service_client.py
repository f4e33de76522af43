"""What the graph asks of a service beside it and of MLflow, over real connections."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from churn_assets.resources.service_process import Client, free_port
from churn_assets.resources.tracking_server import require_answer
from churn_store.errors import InputError


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; a path that begins with a number is answered with that status."""

    def do_GET(self) -> None:
        """Say how it was asked."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        first = self.path.split("/")[1]
        self.send_response(int(first) if first.isdigit() else 200)
        self.end_headers()
        asked = {
            "method": self.command,
            "path": self.path,
            "key": self.headers["X-API-Key"],
            "body": json.loads(body or "null"),
        }
        self.wfile.write(b"" if self.path.endswith("/empty") else json.dumps(asked).encode())

    do_POST = do_GET  # noqa: N815 - the name that it has

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_question_without_a_body_is_a_get_and_one_with_a_body_a_post(port: int) -> None:
    client = Client(port, "secret")
    assert client.ask("/predict/c1") == (200, {"method": "GET", "path": "/predict/c1", "key": "secret", "body": None})
    _, answer = client.ask("/predict", {"attributes": {"plan": "ü"}})
    assert (answer["method"], answer["body"]) == ("POST", {"attributes": {"plan": "ü"}})


def test_a_refusal_is_an_answer_and_one_without_content_is_none(port: int) -> None:
    status, answer = Client(port, "secret").ask("/422/predict", {})
    assert (status, answer["path"]) == (422, "/422/predict")
    assert Client(port, "secret").ask("/503/empty") == (503, None)


def test_a_proxy_is_not_asked_for_a_service_on_this_machine(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert Client(port, "secret").ask("/health")[0] == 200


def test_nobody_who_answers_is_a_transport_error() -> None:
    with pytest.raises(httpx.ConnectError):
        Client(free_port(), "secret").ask("/health")


def test_mlflow_is_asked_for_its_health_and_what_is_wrong_is_said_without_the_password(port: int) -> None:
    require_answer(f"http://127.0.0.1:{port}/")
    for address, reason in (
        (f"http://user:secret@127.0.0.1:{port}/500", "500"),
        (f"http://user:secret@127.0.0.1:{free_port()}", "ConnectError"),
        ("http://user:secret@127.0.0.1:99999", "ConnectError"),
    ):
        with pytest.raises(InputError, match=rf"does not answer as it should \({reason}\)") as refused:
            require_answer(address)
        assert "secret" not in str(refused.value)
