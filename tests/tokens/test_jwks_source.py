"""Fetching an issuer's keys: from servers that fail, hang, lie, redirect and never stop sending."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.tasks import Tasks
from gateway.tokens.jwks_source import MAX_DOCUMENT, FetchFailed, JwksSource
from gateway.tokens.keys import KeySet
from tests.fakes import FakeClock, signing_key

ONE = KeySet((signing_key(kid="one"),)).jwks()
BOTH = {"keys": [*ONE["keys"], *KeySet((signing_key(kid="two"),)).jwks()["keys"]]}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Issuer:
    """A server whose answer can be changed; it records what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = documents(ONE)
        self.requests: list[web.Request] = []
        self.asked = asyncio.Event()
        self.url = ""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.asked.set()
        return await self.answer(request)


def documents(content: object) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(body=body)

    return answer


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.respond)
    async with TestServer(app) as server:
        issuer.url = str(server.make_url("/jwks.json"))
        yield issuer


def source(issuer: Issuer, clock: FakeClock | None = None, **settings) -> JwksSource:
    return JwksSource(issuer.url, ["ES256"], clock=clock or FakeClock(), **settings)


async def test_keys_are_fetched_and_kept(issuer: Issuer) -> None:
    keys = source(issuer)
    assert keys.keys() is None

    await keys.fetch()

    assert set(keys.keys() or ()) == {"one"}
    assert issuer.requests[0].path == "/jwks.json"
    assert "Cookie" not in issuer.requests[0].headers


async def status_500(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, body=json.dumps(BOTH))


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response(body=json.dumps(BOTH))


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(json.dumps(BOTH).encode())
        while True:
            await response.write(b" " * 65536)
    return response


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(json.dumps(BOTH).encode())
    assert request.transport is not None
    request.transport.close()
    return response


async def compressed(_: web.Request) -> web.StreamResponse:
    response = web.Response(body=json.dumps(BOTH).encode())
    response.enable_compression(web.ContentCoding.gzip)
    return response


FAILURES: dict[str, Answer] = {
    "answers an error": status_500,
    "hangs": hang,
    "drips": drip,
    "never stops": endless,
    "breaks off": cut_off,
    "compresses unasked": compressed,
    "says nothing": documents(b""),
    "says HTML": documents(b"<html>"),
    "has no key": documents({"keys": []}),
    "is a byte too long": documents(json.dumps(BOTH).encode().ljust(MAX_DOCUMENT + 1)),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_fetch_keeps_the_keys(issuer: Issuer, failure: str) -> None:
    """J6: each of them holds two good keys or none, and must change nothing."""
    keys = source(issuer, timeout=0.3)
    await keys.fetch()
    before = keys.keys()

    issuer.answer = FAILURES[failure]
    with pytest.raises(FetchFailed, match=r"jwks\.json"):
        await keys.fetch()

    assert keys.keys() is before


async def test_a_document_of_the_largest_size_is_read(issuer: Issuer) -> None:
    issuer.answer = documents(json.dumps(BOTH).encode().ljust(MAX_DOCUMENT))
    keys = source(issuer)
    await keys.fetch()

    assert set(keys.keys() or ()) == {"one", "two"}


async def test_an_issuer_that_is_not_there_is_a_failed_fetch(unused_tcp_port: int) -> None:
    keys = JwksSource(f"http://127.0.0.1:{unused_tcp_port}/", ["ES256"], clock=FakeClock())

    with pytest.raises(FetchFailed):
        await keys.fetch()
    assert keys.keys() is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(issuer: Issuer, status: int) -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return web.Response(body=json.dumps(BOTH))
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    issuer.answer = redirect
    keys = source(issuer)

    with pytest.raises(FetchFailed, match=str(status)):
        await keys.fetch()
    assert [request.path for request in issuer.requests] == ["/jwks.json"]


async def test_the_environment_names_no_proxy(issuer: Issuer, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    keys = source(issuer)

    await keys.fetch()
    assert keys.keys() is not None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x.example/", "data:,{}", "/jwks.json", "http://", "", "x"]
)
def test_only_http_and_https_are_fetched(url: str) -> None:
    """CVE-2026-48522."""
    with pytest.raises(ValueError, match="http"):
        JwksSource(url, ["ES256"], clock=FakeClock())


async def test_keys_that_came_or_went_are_announced_and_equal_ones_are_not(issuer: Issuer) -> None:
    changes: list[set[str]] = []
    keys = source(issuer, changed=lambda: changes.append(set(keys.keys() or ())))
    for document in (ONE, ONE, BOTH, ONE):
        issuer.answer = documents(document)
        await keys.fetch()

    assert changes == [{"one"}, {"one", "two"}, {"one"}]


async def next_fetch(issuer: Issuer) -> None:
    async with asyncio.timeout(10):
        await issuer.asked.wait()
    issuer.asked.clear()


async def settled(keys: JwksSource, kids: set[str]) -> None:
    async with asyncio.timeout(10):
        while set(keys.keys() or ()) != kids:
            await asyncio.sleep(0.005)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    yield tasks
    await tasks.close()


async def test_unknown_keys_make_it_fetch_again_but_never_in_a_flood(
    issuer: Issuer, tasks: Tasks
) -> None:
    """J6: whoever sends tokens with made-up key names decides nothing about our traffic."""
    clock = FakeClock()
    keys = source(issuer, clock, shortest_gap=10.0)
    keys.start(tasks)
    await next_fetch(issuer)
    await settled(keys, {"one"})

    issuer.answer = documents(BOTH)
    clock.advance(9.9)
    for _ in range(1000):
        keys.missed()
    await asyncio.sleep(0.05)
    assert len(issuer.requests) == 1

    clock.advance(0.1)
    for _ in range(1000):
        keys.missed()
    await settled(keys, {"one", "two"})
    for _ in range(1000):
        keys.missed()
    await asyncio.sleep(0.05)
    assert len(issuer.requests) == 2


async def test_it_asks_again_by_itself_and_sees_removed_keys(issuer: Issuer, tasks: Tasks) -> None:
    issuer.answer = documents(BOTH)
    keys = source(issuer, interval=0.02)
    keys.start(tasks)
    await settled(keys, {"one", "two"})
    issuer.answer = documents(ONE)

    await settled(keys, {"one"})


async def test_after_a_failure_it_tries_again_soon_and_says_so_once(
    issuer: Issuer, tasks: Tasks, caplog
) -> None:
    issuer.answer = status_500
    keys = source(issuer, interval=3600.0, shortest_gap=0.02)
    with caplog.at_level(logging.WARNING):
        keys.start(tasks)
        for _ in range(3):
            await next_fetch(issuer)
        issuer.answer = documents(ONE)
        await settled(keys, {"one"})

    assert [record.getMessage() for record in caplog.records] == [
        f"the keys of an accepted issuer stay as they were: {issuer.url}: answered 500"
    ]


async def test_it_ends_with_the_tasks(issuer: Issuer) -> None:
    tasks = Tasks()
    keys = source(issuer)
    keys.start(tasks)
    await settled(keys, {"one"})

    await tasks.close()
    await asyncio.sleep(0)
    assert len(tasks) == 0
