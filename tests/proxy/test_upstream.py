"""Answers of an app, well-formed and not: whole or an error, never part of the next (H3, H13)."""

import asyncio
import socket

import pytest

from gateway.proxy.balancing import Target
from gateway.proxy.pool import Pool
from tests.fakes import OK
from tests.proxy.conftest import Client, World, until
from tests.proxy.test_exchange import get, status

JUNK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
KEPT = get("/public/x", connection="keep-alive")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
async def test_h13_what_follows_the_end_of_an_answer_is_nobodys(world: World, method, answer):
    world.upstream.answer = lambda _head: answer + JUNK
    client = await world.connect()
    client.send(get("/public/x", method=method, connection="keep-alive"))
    head = await client.head()
    world.upstream.answer = lambda _head: OK
    client.send(get("/public/y"))
    rest = await client.rest()

    assert status(head) == status(answer)
    assert b"evil" not in rest
    assert rest.endswith(b"\r\n\r\nok")
    assert len(world.upstream.received) == 2


async def test_a_204_that_announces_a_body_is_the_last_on_its_connection(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"

    answer = await world.send(KEPT + get("/public/y"))

    assert answer.count(b"HTTP/1.1 204 No") == 2
    assert b"Content-Length" not in answer
    assert len(world.upstream.received) == 2


async def test_h19_bytes_that_nobody_asked_for_close_the_connection(world: World):
    await world.send(get("/public/x"))
    world.upstream.write(JUNK)
    await world.upstream.until(lambda: world.upstream.open_connections == 0)

    answer = await world.send(get("/public/y"))

    assert answer.endswith(b"\r\n\r\nok")


async def test_h11_thousands_of_interim_answers_are_bounded_and_break_nothing(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 100 Continue\r\n\r\n" * 3000 + OK
    assert status(await world.send(get("/public/x"))) == 200

    world.upstream.answer = lambda _head: b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000 + OK
    assert status(await world.send(get("/public/x"))) == 502
    assert world.observed.failures == [("app", "malformed")]


async def test_a_head_without_an_end_is_bounded(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000

    assert status(await world.send(get("/public/x"))) == 502


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_app_that_closes_after_each_answer_is_served_from_new_connections(
    world: World, version
):
    closing = b"Connection: close\r\n" if version == "1.1" else b""
    world.upstream.answer = lambda _head: (
        b"HTTP/%b 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % (version.encode(), closing)
    )
    world.upstream.close_after_answer = True

    answer = await world.send(KEPT * 2 + get("/public/x"))

    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert len(world.upstream.received) == 3


async def test_h7_an_apps_connection_header_removes_its_own_fields_and_none_of_ours(world: World):
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nConnection: X-Hop, Cache-Control, Set-Cookie, Content-Length\r\n"
        b"X-Hop: 1\r\nContent-Length: 0\r\n\r\n"
    )

    answer = await world.send(get("/x", f"Cookie: accessToken={world.token()}"))

    assert b"X-Hop" not in answer
    assert b"\r\nCache-Control: private\r\n" in answer
    assert b"\r\nContent-Length: 0\r\n" in answer


@pytest.mark.parametrize(
    ("answer", "expected", "kind"),
    [
        (b"", 502, "closed"),
        (b"HTTP/1.1 200 O", 502, "cut-off"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 502, "cut-off"),
        (b"garbage\r\n\r\n", 502, "malformed"),
    ],
)
async def test_failures_have_a_fixed_word_each(world: World, answer, expected, kind):
    world.upstream.answer = lambda _head: answer
    world.upstream.close_after_answer = True

    assert status(await world.send(get("/public/x"))) == expected
    assert world.observed.failures == [("app", kind)]


async def test_r8_an_app_that_does_not_answer_is_a_504(world: World):
    world.limit(upstream_head=0.3)
    world.upstream.answer = lambda _head: None

    assert status(await world.send(get("/public/x"))) == 504
    assert world.observed.failures == [("app", "timeout")]
    await world.upstream.until(lambda: world.upstream.open_connections == 0)


async def test_an_answer_that_stops_half_way_is_broken_off(world: World):
    world.limit(body_timeout=0.3)
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"

    with pytest.raises(ConnectionResetError):
        await world.send(get("/public/x"))
    assert world.observed.failures == [("app", "timeout")]


@pytest.mark.parametrize("begun", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 2", b"bad\r\n\r\n"])
async def test_h15_once_a_byte_of_the_answer_came_nothing_is_sent_again(world: World, begun):
    await world.send(get("/public/warm-up"))
    world.upstream.answer = lambda _head: begun
    world.upstream.close_after_answer = True

    assert status(await world.send(get("/public/x"))) == 502
    assert world.upstream.bytes_received.count(b"GET /public/x ") == 1


async def test_h20_events_arrive_one_by_one_and_end_with_the_session(world: World):
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\n\r\ndata: 1\n\n"
    )
    client = await world.connect()
    client.send(get("/events", f"Cookie: accessToken={world.token()}"))
    await client.head()
    assert await client.read(14) == b"9\r\ndata: 1\n\n\r\n"
    world.upstream.write(b"data: 2\n\n")
    assert await client.read(14) == b"9\r\ndata: 2\n\n\r\n"

    world.plane.streams.end_session("s1")

    with pytest.raises(ConnectionResetError):
        await client.rest()
    await world.upstream.until(lambda: world.upstream.open_connections == 0)
    assert len(world.plane.streams) == 0


async def test_both_ways_at_once(world: World):
    """An app that answers while it is still being asked."""
    server_sees: asyncio.Queue = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(2):
            data = await reader.readexactly(5)
            server_sees.put_nowait(data)
            writer.write(data)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    before, world.upstream.port = world.upstream.port, server.sockets[0].getsockname()[1]
    client = await world.connect()
    client.send(get("/public/x", "Content-Length: 10", method="POST") + b"first")
    await client.head()
    assert await client.read(5) == b"first"
    client.send(b"again")

    assert await client.rest() == b"again"
    client.close()
    await world.quiet()
    await until(lambda: server_sees.qsize() == 2)
    for pool in world.pools:
        pool.close()
    server.close()
    world.upstream.port = before


async def answered_early(world: World, client: Client, answer: bytes) -> Pool:
    """Let an app answer before it has the whole request, and close, which resets.

    The next piece of the request fails to be sent before anybody reads the answer.
    """
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)

        async def connect(factory) -> object:
            return await loop.create_connection(factory, *listening.getsockname())

        pool = world.serve_from(Target("app", connect))
        client.send(get("/public/x", "Content-Length: 900000", method="POST") + bytes(1000))
        app, _ = await loop.sock_accept(listening)
        with app:
            # Some of it is left unread.
            await loop.sock_recv(app, 100)
            app.sendall(answer)
        (connection,) = pool._target_of
        connection.send(bytes(1000), last=False)
        return pool


@pytest.mark.parametrize("size", [3, 100_000])
async def test_an_answer_before_the_whole_request_arrives_though_the_app_then_resets(
    world: World, size: int
):
    """As apps do that take no upload so large."""
    client = await world.connect()
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)

    pool = await answered_early(world, client, answer)

    got = await client.answer()
    assert status(got) == 413
    assert got.endswith(bytes(size))
    await until(lambda: pool._open == 0)
    assert pool.targets[0].idle == []
    assert world.observed.failures == []


async def test_h3_an_answer_that_the_app_resets_half_way_is_broken_off(world: World):
    client = await world.connect()

    await answered_early(world, client, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha")

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.answer()
    assert world.observed.failures == [("app", "cut-off")]
