"""Nobody's browser is made to use the port, and every answer has one shape."""

import asyncio

import pytest

from gateway.operations.guard import is_private_name
from tests.sessions.examples import ALICE, LAPTOP


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/sessions?user=alice"), ("DELETE", "/sessions/AAAA"), ("POST", "/reload")],
)
async def test_a_page_of_another_site_changes_nothing(running, serve, headers, method, path):
    async def reload() -> list[str]:
        pytest.fail("reloaded by a stranger")

    client = await serve(reload=reload)
    await running.lifecycle.start(ALICE, LAPTOP)

    answer = await client.request(method, path, headers=headers)

    assert answer.status == 403
    assert answer.content_type == "application/problem+json"
    assert len(await running.lifecycle.list("alice")) == 1


async def test_a_page_whose_name_was_pointed_at_the_port_sees_no_sessions(running, serve):
    client = await serve()
    await running.lifecycle.start(ALICE, LAPTOP)

    answer = await client.get("/sessions?user=alice", headers={"Host": "rebound.evil.example:9091"})

    assert answer.status == 421
    assert "192.0.2.7" not in await answer.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/ping", "/metrics"])
async def test_probes_and_scrapers_may_use_any_name(serve, path):
    client = await serve()

    assert (await client.get(path, headers={"Host": "gateway.example.com"})).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1", "127.0.0.1:9091", "[::1]", "[::1]:9091", "10.1.2.3:9091", "localhost",
        "localhost:9091", "LOCALHOST.", "gateway", "gateway:9091", "gateway.prod.svc:9091",
        "gateway.prod.svc.cluster.local", "box.local", "gw.corp.internal", "a.home.arpa",
    ],
)  # fmt: skip
def test_private_names(name):
    assert is_private_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ":9091", "evil.example", "evil.example:9091", "127.0.0.1.nip.io", "localhost.evil.example",
     "1.2.3", "evil.example.", "xsvc.com", "svc.evil.com:80"],
)  # fmt: skip
def test_names_that_somebody_may_own(name):
    assert not is_private_name(name)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/healthz/", 404),
        ("GET", "/Healthz", 404),
        ("GET", "//healthz", 404),
        ("GET", "/%68ealthz", 404),
        ("GET", "/healthz/x", 404),
        ("GET", "/x/../healthz", 404),
        ("GET", "/sessions/", 404),
        ("DELETE", "/sessions/a%2fb", 404),
        ("DELETE", "/sessions/" + "a" * 129, 404),
        ("GET", "/reload", 404),
        ("POST", "/reload", 404),
        ("GET", "/config", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
        ("PUT", "/sessions", 405),
        ("GET", "/sessions/AAAA", 405),
        ("HEAD", "/readyz", 200),
        ("GET", "/healthz?verbose", 200),
    ],
)
async def test_p3_exact_paths_and_methods_only(serve, method, path, status):
    client = await serve()

    # Written by hand: an HTTP client would tidy the path before we see it.
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    assert head.startswith(f"HTTP/1.1 {status} ")
    if status >= 400:
        assert "application/problem+json" in head
        assert f'"status": {status}' in body
    if status == 405:
        assert "\r\nAllow: " in head


async def test_no_answer_may_be_kept_by_a_cache(serve):
    client = await serve()

    for path in ("/healthz", "/readyz", "/nowhere"):
        assert (await client.get(path)).headers["Cache-Control"] == "no-store"


async def test_a_store_that_is_down_is_503_and_never_404(running, serve):
    client = await serve()
    running.store.down = True

    for method, path in (
        ("GET", "/sessions?user=alice"),
        ("DELETE", "/sessions?user=alice"),
        ("DELETE", "/sessions/AAAA"),
    ):
        answer = await client.request(method, path)
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "3"
    assert running.events == []


async def test_a_mistake_of_ours_is_in_the_log_and_not_in_the_answer(serve, caplog):
    def broken() -> dict[str, object]:
        raise ZeroDivisionError("secret detail")

    client = await serve(config=broken)

    answer = await client.get("/config")

    assert answer.status == 500
    assert "secret detail" not in await answer.text()
    assert "ZeroDivisionError" in caplog.text
