"""Rate limits: what a key and an address may ask, how long they wait, and what happens to everybody else meanwhile."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from limits import parse_many

from churn_api.security import permits as module
from churn_api.security import rate_limits
from churn_api.security.permits import PermitStore
from churn_api.security.rate_limits import OTHERS, Limiter, RateLimits, network_of
from churn_api.settings import LimitSettings, ServiceConfig
from churn_store.errors import InputError
from tests.api.conftest import Installation, problem
from tests.release_factory import Candidate
from tests.store.servers import redis_server


def limiter(rules: str, store: PermitStore | None = None) -> Limiter:
    found = store or PermitStore("", lambda _: None)
    return Limiter("key", parse_many(rules), found, scope="c")


async def asked(limits: Limiter, times: int, name: str = "a") -> int:
    """How many of so many requests are let in."""
    let_in = 0
    for _ in range(times):
        let_in += limits.take(name) or await limits.wait(name) is None
    return let_in


@pytest.mark.parametrize("amount", [1, 7, 100, 1_234])
def test_in_a_window_exactly_as_many_are_let_in_as_the_rule_says(amount: int) -> None:
    assert asyncio.run(asked(limiter(f"{amount}/minute"), amount + 500)) == amount


def test_of_two_rules_both_hold_and_what_one_refuses_costs_nothing_of_the_other() -> None:
    async def run() -> list[int]:
        limits = limiter("30/minute; 10/second")
        found = []
        for _ in range(4):
            found.append(await asked(limits, 50))
            refused = await limits.wait("a")
            assert refused is not None
            if refused.wait_s > 1:
                assert refused.rule == "30 per 1 minute"
                break
            assert refused.rule == "10 per 1 second"
            await asyncio.sleep(refused.wait_s)
        return found

    assert asyncio.run(run()) == [10, 10, 10]


def test_many_at_once_get_no_more_than_the_rule() -> None:
    async def run() -> int:
        limits = limiter("250/minute")
        return sum(await asyncio.gather(*(asked(limits, 50) for _ in range(10))))

    assert asyncio.run(run()) == 250


def test_each_name_has_its_own_count_and_no_rule_is_no_limit() -> None:
    async def run() -> None:
        limits = limiter("5/minute")
        assert [await asked(limits, 9, name) for name in "abc"] == [5, 5, 5]
        assert await asked(limiter_without(), 10_000) == 10_000

    def limiter_without() -> Limiter:
        return Limiter("key", [], PermitStore("", lambda _: None), scope="c")

    asyncio.run(run())


def test_names_are_bounded_and_further_ones_share_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_NAMES", 10)
    monkeypatch.setattr(rate_limits, "SWEEP_S", 0.0)

    async def run() -> None:
        limits = limiter("5/second")
        for number in range(50):
            await asked(limits, 1, f"n{number}")
        names = {count.name: count for count in limits.counts()}
        assert len(names) == 11
        assert (names[OTHERS].taken, names[OTHERS].refused) == (5, 35)
        await asyncio.sleep(1.1)
        assert await asked(limits, 1, "new") == 1
        assert "new" in {count.name for count in limits.counts()}

    asyncio.run(run())


@pytest.mark.parametrize("step_s", [-3_600.0, -90_000.0, 3_600.0])
def test_a_wall_clock_that_is_set_lengthens_no_refusal_and_ends_none(
    monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    async def run() -> None:
        limits = RateLimits.of(LimitSettings(key="5/second", address="5/minute"), company="c", on_failure=lambda _: None)
        for one in (limits.keys, limits.addresses):
            assert await asked(one, 7) == 5
        set_by(monkeypatch, step_s)
        refused = await limits.keys.wait("a")
        assert (refused is None, refused and refused.wait_s) == (False, 1)
        of_address = await limits.addresses.wait("a")
        assert of_address is not None
        assert 50 < of_address.wait_s <= 60
        await asyncio.sleep(1.0)
        assert await asked(limits.keys, 7) == 5

    asyncio.run(run())


def set_by(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step_s)


@pytest.mark.integration
def test_limits_shared_through_redis_outlive_a_wall_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    async def run() -> None:
        store = PermitStore(redis_url, lambda _: None)
        limits = limiter("5/second", store)
        name = f"n{time.time_ns()}"
        assert await asked(limits, 7, name) == 5
        set_by(monkeypatch, -3_600.0)
        refused = await limits.wait(name)
        assert (refused is None, refused and refused.wait_s) == (False, 1)
        await asyncio.sleep(1.1)
        assert await asked(limits, 7, name) == 5
        assert not store.is_away
        await store.close()

    asyncio.run(run())


def test_redis_is_asked_again_after_the_pause_whatever_the_wall_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.2)
    failures: list[BaseException] = []

    async def run() -> None:
        store = PermitStore("redis://127.0.0.1:1", failures.append)
        limits = limiter("5/second", store)
        assert await asked(limits, 7) == 5
        assert (len(failures), store.is_away) == (1, True)
        set_by(monkeypatch, -3_600.0)
        await asyncio.sleep(0.3)
        await limits.wait("b")
        assert len(failures) == 2
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer", [b"$-1\r\n", b":-5\r\n", b"$4\r\nmany\r\n", b"*0\r\n", b"-LOADING it loads\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"]
)
def test_a_redis_that_answers_no_count_is_one_that_is_away(answer: bytes) -> None:
    failures: list[BaseException] = []

    async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while sent := await reader.read(4_096):
            writer.write(answer * max(1, sent.count(b"*")))
            await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(answer_each, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            store = PermitStore(f"redis://127.0.0.1:{port}", failures.append)
            assert await asked(limiter("5/minute", store), 9) == 5
            assert store.is_away
            await store.close()

    asyncio.run(run())
    assert len(failures) == 1


def test_windows_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST_KEPT", 10)
    rule = parse_many("5/second")[0]

    async def run() -> None:
        store = PermitStore("", lambda _: None)
        for number in range(10):
            await store.take(rule, f"early {number}")
        await asyncio.sleep(1.1)
        await store.take(rule, "late")
        assert list(store._windows._by_key) == ["late"]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "name"),
    [("10.1.2.3", "10.1.2.3"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("a:b", "a:b")],
)
def test_an_ipv6_address_is_counted_by_its_network(address: str, name: str) -> None:
    assert network_of(address) == name


def limited(tmp_path: Path, **rules: str) -> Any:
    return Installation.make(tmp_path, limits=rules)


def until_refused(ask: Any) -> httpx.Response:
    for _ in range(100):
        response: httpx.Response = ask()
        if response.status_code == 429:
            return response
    raise AssertionError("never refused")


def test_a_key_beyond_its_rule_gets_429_until_the_time_that_it_is_told(tmp_path: Path, candidate: Candidate) -> None:
    with limited(tmp_path, key="4/second") as installed:
        installed.make_key("other", "predict", "read")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            for path in ("/predict/c1", "/models"):
                refused = until_refused(lambda path=path: service.get(path))
                assert "at most 4 per 1 second. Try again in 1 s." in problem(refused, 429)["detail"]
                assert refused.headers["retry-after"] == "1"
                assert service.get("/predict/c1").status_code == 429  # in both lanes
                assert service.get(path, key="other").status_code == 200
                assert service.get("/docs", key=None).status_code == 200
                time.sleep(1.0)
                assert service.get(path).status_code == 200
            assert len(installed.spooled()) < 20
            time.sleep(1.0)
            assert service.metric("churn_requests_limited_total", by="key") >= 4
            assert service.metric("churn_requests_total", status="429") >= 4


def test_strangers_are_limited_by_address_and_stop_nobody_with_a_key(tmp_path: Path, candidate: Candidate) -> None:
    with limited(tmp_path, address="5/minute") as installed:
        installed.make_key("admin", "admin")
        installed.make_key("expired", "predict", days_ago=2, expires_days=1)
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            until_refused(lambda: service.get("/predict/c1", key=None, headers={"X-API-Key": "guess"}))
            for path in ("/predict/c1", "/models", "/docs"):
                refused = service.get(path, key=None)
                assert "without a usable key" in problem(refused, 429)["detail"]
                assert 0 < int(refused.headers["retry-after"]) <= 60
            assert service.get("/predict/c1").status_code == 200
            assert service.get("/predict/c1", key="admin").status_code == 403
            assert service.get("/predict/c1", key="expired").status_code == 429
            for path in ("/health", "/health/live", "/health/ready"):
                assert service.get(path, key=None).status_code == 200


def test_the_administrator_sees_rules_and_counts(tmp_path: Path, candidate: Candidate) -> None:
    with limited(tmp_path, key="100/hour; 20/minute", address="3/minute") as installed:
        installed.make_key("admin", "admin")
        installed.make_key("reader", "read")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:

            def seen() -> dict[str, Any]:
                found: dict[str, Any] = service.get("/admin/limits", key="admin").json()
                return found

            before = seen()
            assert [(rule["of"], rule["requests"], rule["window_s"], rule["setting"]) for rule in before["rules"]] == [
                ("key", 100, 3600, "service.limits.key"), ("key", 20, 60, "service.limits.key"),
                ("address", 3, 60, "service.limits.address"),
            ]  # fmt: skip
            assert (before["shared"], before["away"]) == (False, False)
            assert [(one["owner"], one["let_in"]) for one in before["counts"]] == [("admin", 1)]
            until_refused(lambda: service.get("/predict/c1"))
            for _ in range(5):
                service.get("/predict/c1", key=None)
            counts = {one["owner"] or one["of"]: one for one in seen()["counts"]}
            assert counts["both"]["name"] == installed.keys["both"].key_id
            assert (counts["both"]["let_in"], counts["both"]["refused"]) == (20, 1)
            assert 0 < counts["both"]["wait_s"] <= 60
            assert (counts["address"]["let_in"], counts["address"]["refused"]) == (3, 2)
            problem(service.get("/admin/limits", key="reader"), 403)
    with limited(tmp_path, key="") as installed, installed.serve() as service:
        installed.make_key("admin", "admin")
        service.until(lambda: service.get("/admin/limits", key="admin").status_code == 200)
        found = service.get("/admin/limits", key="admin").json()
        assert [rule["of"] for rule in found["rules"]] == ["address", "address"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("key", "many", "expected rules like 600/minute"), ("key", "0/minute", "of 1 or more"),
        ("address", "5/minute; x", "expected rules"), ("redis_url", "http://h", "expected an address like redis://"),
        ("burst", "5", "limits"),
    ],
)  # fmt: skip
def test_a_rule_that_can_not_be_read_is_refused_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(f"service: {{limits: {{{name}: '{value}'}}}}", encoding="utf-8")
    monkeypatch.setenv("CHURN_CONFIG", str(file))
    with pytest.raises(InputError, match=said) as refused:
        ServiceConfig.load()
    assert "\n" not in str(refused.value)


def test_workers_share_the_counts_through_redis(redis_url: str) -> None:
    async def run() -> None:
        stores = [PermitStore(redis_url, lambda _: None) for _ in range(3)]
        name = f"n{time.time_ns()}"
        workers = [limiter("300/minute", store) for store in stores]
        turns = [[await asked(worker, 7, name) for worker in workers] for _ in range(50)]
        assert 300 - 2 * 3 <= sum(map(sum, turns)) <= 300  # a worker may hold the rest of a block of 3
        refused = await workers[0].wait(name)
        assert refused is not None
        assert 50 < refused.wait_s <= 60
        assert not any(store.is_away for store in stores)
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_without_redis_each_worker_counts_alone_says_so_and_goes_back(
    tmp_path: Path, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.5)
    with redis_server() as url:
        pass  # it has ended again: nobody listens at its address
    with limited(tmp_path, key="50/second", redis_url=url) as installed:
        installed.make_key("admin", "admin")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            began = time.monotonic()
            assert {service.get("/predict/c1").status_code for _ in range(20)} == {200}
            assert time.monotonic() - began < 20 * 0.5  # not one of them waited for the pause
            assert any("Redis does not answer" in words for words in service.get("/health", key=None).json()["degraded"])
            assert service.get("/admin/limits", key="admin").json()["away"] is True
            assert service.get("/health/ready", key=None).status_code == 200
            until_refused(lambda: service.get("/predict/c1"))
