"""CORS: closed unless configured, and open for the configured origins alone."""

from pathlib import Path
from typing import Any

from tests.api.conftest import Installation, Service
from tests.release_factory import Candidate

CORS_ORIGIN = "https://shop.example"


def with_origin(service: Service, path: str, origin: str, method: str = "GET") -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return service.client.request(method, path, headers={**headers, **service.key_header("both")})


def test_no_browser_of_another_origin_is_answered_unless_configured(fresh: Service) -> None:
    for path in ("/predict/c1", "/models", "/health", "/nothing"):
        response = with_origin(fresh, path, CORS_ORIGIN)
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert with_origin(fresh, path, CORS_ORIGIN, "OPTIONS").status_code in {404, 405}


def test_a_configured_origin_is_answered_and_no_other(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, cors_origins=[CORS_ORIGIN]) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            for path, status in (("/predict/c1", 200), ("/models", 200), ("/predict/nobody", 404), ("/outcomes", 403)):
                response = with_origin(service, path, CORS_ORIGIN, "POST" if path == "/outcomes" else "GET")
                assert response.status_code == status
                assert response.headers["access-control-allow-origin"] == CORS_ORIGIN
                assert response.headers["vary"] == "Origin"
                assert "access-control-allow-credentials" not in response.headers
                other = with_origin(service, path, f"{CORS_ORIGIN}.evil.example", "POST" if path == "/outcomes" else "GET")
                assert "access-control-allow-origin" not in other.headers
                preflight = with_origin(service, path, CORS_ORIGIN, "OPTIONS")
                assert preflight.status_code == 204
                assert preflight.headers["access-control-allow-origin"] == CORS_ORIGIN
                assert "POST" in preflight.headers["access-control-allow-methods"]
                assert "x-api-key" in preflight.headers["access-control-allow-headers"]
                refused = with_origin(service, path, "https://evil.example", "OPTIONS")
                assert refused.status_code == 400
                assert "access-control-allow-origin" not in refused.headers
