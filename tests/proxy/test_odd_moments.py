"""What comes too early or too late: answers, bodies, sessions that end meanwhile (H10, H16, W4)."""

import asyncio

import pytest

from gateway.proxy.balancing import Target
from gateway.proxy.deadlines import NEVER
from gateway.sessions.revocation import Revocation
from tests.fakes import OK
from tests.proxy.by_hand import LAST_CHUNK, AppByHand, app_by_hand, overfill
from tests.proxy.conftest import Client, World, connecting_to, until
from tests.proxy.test_exchange import get, status
from tests.proxy.test_tunnel import SWITCHED, upgrade

KEPT = get("/public/x", connection="keep-alive")
CHUNKED = "Transfer-Encoding: chunked"
TEMPORARILY = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
async def app(world: World):
    async with app_by_hand(world) as app:
        yield app


# Bodies that go on after their answer.


async def sent_elsewhere(world: World, app: AppByHand, length: int) -> Client:
    """A client that has its answer, and has not sent anything yet of a body of *length*."""
    client = await world.connect()
    line = f"Content-Length: {length}"
    client.send(get("/public/up", line, method="POST", connection="keep-alive"))
    asked = await app.accepted()
    await asked.head()
    asked.send(TEMPORARILY % 0)
    await client.head()
    return client


async def test_h10_a_body_sent_to_its_end_after_a_307_has_time_as_long_as_it_comes(
    world: World, app: AppByHand
):
    world.limit(body_timeout=0.6)
    client = await sent_elsewhere(world, app, 20)

    for _ in range(20):
        client.send(b"x")
        await asyncio.sleep(0.1)
    client.send(KEPT)
    again = await app.accepted()
    await again.head()
    again.send(OK)

    assert status(await client.answer()) == 200


async def test_h16_a_body_dropped_after_its_answer_is_not_waited_for_without_end(
    world: World, app: AppByHand
):
    world.limit(body_timeout=0.3)
    client = await sent_elsewhere(world, app, 20)
    client.send(b"x")

    await world.quiet()


async def test_h17_no_answer_is_begun_before_the_one_before_it_is_read(
    world: World, app: AppByHand
):
    client = await world.connect(limit=8192)
    line = "Content-Length: 5"
    client.send(get("/public/up", line, method="POST", connection="keep-alive"))
    asked = await app.accepted()
    await asked.head()
    [connection] = world.listener._connections
    exchange = connection._exchange
    asked.send(b"HTTP/1.1 307 Temporary Redirect\r\nTransfer-Encoding: chunked\r\n\r\n")
    taken = lambda: exchange._bytes_out  # noqa: E731
    await overfill(connection._transport, client, asked.send, taken, end=LAST_CHUNK)
    assert connection._exchange is None
    assert not connection._writable

    client.send(b"hello" + KEPT)
    await until(lambda: connection._buffer == KEPT)
    assert connection._exchange is None
    assert status(await client.head()) == 307
    await read_to_the_end(client)

    again = await app.accepted()
    await again.head()
    again.send(OK)
    assert status(await client.answer()) == 200


async def test_h16_a_body_that_outgrows_its_limit_while_it_is_answered_breaks_off(
    world: World, app: AppByHand
):
    client = await world.connect()
    client.send(get("/small/up", CHUNKED, method="POST", connection="keep-alive"))
    asked = await app.accepted()
    await asked.head()
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert status(await client.head()) == 200
    client.send(b"a\r\n0123456789\r\n")
    assert await asked.read(15) == b"a\r\n0123456789\r\n"

    client.send(b"1\r\nx\r\n")

    assert await asked.rest() == b""
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_h16_an_answer_that_waits_for_the_rest_of_its_request_is_not_late(
    world: World, app: AppByHand
):
    world.limit(body_timeout=0.6)
    client = await world.connect()
    client.send(get("/public/up", "Content-Length: 20", method="POST"))
    asked = await app.accepted()
    await asked.head()
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    await client.head()

    for _ in range(20):
        client.send(b"x")
        await asyncio.sleep(0.1)
    await asked.read(20)
    asked.send(b"ok")

    assert await client.rest() == b"ok"


async def test_h16_an_app_that_is_not_read_from_is_not_late_when_it_reads_no_more_either(
    world: World, app: AppByHand
):
    """An echo stops reading when nobody takes what it says: the client's time is running then."""
    client = await world.connect(limit=8192)
    client.send(get("/public/up", CHUNKED, method="POST"))
    asked = await app.accepted()
    await asked.head()
    [connection] = world.listener._connections
    [upstream] = world.plane.upstreams["app"]._target_of
    exchange = upstream.exchange
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    await overfill(connection._transport, client, asked.send, lambda: exchange._bytes_out)
    await overfill(upstream.transport, asked, client.send, lambda: exchange._bytes_in)

    assert upstream.deadline == NEVER
    assert connection.deadline < NEVER
    client.send(LAST_CHUNK)
    await read_to_the_end(asked)
    asked.send(LAST_CHUNK)
    await read_to_the_end(client)


async def read_to_the_end(client: Client) -> None:
    """Read a body in chunks."""
    received = b""
    async with asyncio.timeout(10):
        while not received.endswith(b"\r\n" + LAST_CHUNK):
            data = await client.reader.read(65536)
            assert data, "it ended before its end"
            received += data


# Answers to a request that the app has not read.


async def test_h17_a_connection_full_of_an_unread_body_carries_no_other_request(
    world: World, app: AppByHand
):
    """Its flow control would count the new body for nothing, and all of it be held in memory."""
    client = await world.connect()
    client.send(get("/public/up", CHUNKED, method="POST", connection="keep-alive"))
    asked = await app.accepted()
    [connection] = world.plane.upstreams["app"]._target_of
    exchange = connection.exchange
    taken = lambda: exchange._bytes_in  # noqa: E731
    await overfill(connection.transport, asked, client.send, taken, end=LAST_CHUNK)
    assert connection._whole
    asked.send(OK)

    assert status(await client.answer()) == 200
    client.send(KEPT)
    again = await app.accepted()
    again.send(OK)
    assert status(await client.answer()) == 200


# Answers without a body whose body comes all the same.


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n"),
    ],
)
async def test_h13_a_body_announced_where_none_can_be_never_becomes_anothers_answer(
    world: World, app: AppByHand, method, answer
):
    first, second = await world.connect(), await world.connect()
    first.send(get("/public/x", method=method, connection="keep-alive"))
    asked = await app.accepted()
    await asked.head()
    asked.send(answer)
    await first.head()

    second.send(KEPT)
    again = await app.accepted()
    await again.head()
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    again.send(OK)

    assert (await second.answer()).endswith(b"\r\n\r\nok")


# A session that ends between the decision and the answer.


async def test_w4_a_websocket_opens_for_no_session_that_ended_meanwhile(
    world: World, app: AppByHand
):
    client = await world.connect()
    client.send(upgrade(world))
    asked = await app.accepted()
    await asked.head()
    end_session(world)
    asked.send(SWITCHED + b"\x81\x06secret")
    await client.head()

    farewell = await client.rest()

    assert farewell.endswith(b"\x88\x0f\x03\xf0session ended")
    assert await asked.rest() == b""
    client.close()
    await world.quiet()
    assert len(world.plane.streams) == 0


async def test_w4_an_event_stream_opens_for_no_session_that_ended_meanwhile(
    world: World, app: AppByHand
):
    client = await world.connect()
    client.send(get("/events", f"Cookie: accessToken={world.token()}"))
    asked = await app.accepted()
    await asked.head()
    end_session(world)
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")

    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert await asked.rest() == b""
    assert len(world.plane.streams) == 0


def end_session(world: World) -> None:
    at = int(world.clock() * 1000)
    world.deny.add(Revocation(at, at + 1_000_000, "s1"), world.clock())
    world.plane.streams.end_session("s1")


# A connection that nobody wanted any more when it was there.


async def test_h15_a_connection_kept_unused_that_turns_out_closed_is_replaced(world: World):
    may_connect = asyncio.Event()
    async with app_by_hand(world) as app:

        async def connect(factory) -> object:
            await may_connect.wait()
            return await connecting_to(app)(factory)

        pool = world.serve_from(Target("slow", connect), connect_timeout=10.0)
        left = await world.connect()
        left.send(KEPT)
        await until(lambda: pool._open == 1)
        left.writer.transport.abort()
        await world.quiet()
        may_connect.set()
        unused = await app.accepted()
        await until(lambda: len(pool.targets[0].idle) == 1)
        client = await world.connect()
        client.send(KEPT)
        await unused.head()
        unused.writer.transport.abort()
        again = await app.accepted()
        await again.head()
        again.send(OK)

        assert status(await client.answer()) == 200
