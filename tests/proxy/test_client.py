"""A client connection: deadlines, limits and flow control, whichever side is slow (H16, H17)."""

import asyncio
import socket
from collections import Counter

import pytest

from gateway.proxy import client_wire
from gateway.proxy.client_wire import peer_address
from gateway.proxy.framing import ChunkedBody
from tests.fakes import OK
from tests.proxy.conftest import World, until
from tests.proxy.test_exchange import TE, get, status

KEPT = get("/public/x", connection="keep-alive")
POST = get("/public/x", "Content-Length: 10", method="POST", connection="keep-alive")


def stalled(world: World):
    """The gateway's end of the only client connection."""
    return next(iter(world.listener._connections))


# Deadlines.


async def test_a_client_that_says_nothing_is_closed(world: World):
    world.limit(head_timeout=0.3)

    assert await world.send(b"") == b""


@pytest.mark.parametrize("begun", [b"G", b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n"])
async def test_h16_a_head_that_does_not_end_in_time_is_a_408(world: World, begun):
    world.limit(head_timeout=0.3)

    assert status(await world.send(begun)) == 408
    assert world.upstream.received == []


async def test_h16_a_head_that_trickles_in_gets_no_more_time_for_it(world: World):
    world.limit(head_timeout=0.5)
    client = await world.connect()

    async def trickle() -> None:
        for byte in get("/public/" + "x" * 1000):
            client.send(bytes((byte,)))
            await asyncio.sleep(0.02)

    trickling = asyncio.get_running_loop().create_task(trickle())
    answer = await client.rest()
    trickling.cancel()

    assert status(answer) == 408


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (b"HEAD /public/x HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"HEAD /public/x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40000, 431),
        (b"HEAD /public/x HTTP/1.1\r\nHost: a\r\n" + TE + b"Z\r\n", 400),
    ],
)
async def test_h13_a_refused_head_request_gets_a_head_alone(world: World, refused, told):
    answer = await world.send(refused, half_close=True)

    assert status(answer) == told
    assert answer.endswith(b"\r\n\r\n")
    assert [told.method for told in world.observed.requests] == ["HEAD"]


async def test_an_idle_connection_is_closed_after_its_time_and_not_before(world: World):
    world.limit(idle_timeout=0.3, head_timeout=30)
    client = await world.connect()
    client.send(KEPT)
    assert status(await client.answer()) == 200
    client.send(KEPT)
    assert status(await client.answer()) == 200

    assert await client.rest() == b""


async def test_h16_a_body_that_stops_is_a_408_and_the_app_hears_no_more_of_it(world: World):
    world.limit(body_timeout=0.3)
    world.upstream.answer = lambda _head: None

    answer = await world.send(POST + b"half")

    assert status(answer) == 408
    await world.upstream.until(lambda: world.upstream.open_connections == 0)


async def test_a_slow_client_does_not_use_up_the_time_of_the_app(world: World):
    world.limit(upstream_head=0.3, body_timeout=30)
    world.upstream.answer = lambda _head: None
    client = await world.connect()
    client.send(POST + b"12345")
    await world.upstream.until(lambda: world.upstream.bytes_received.endswith(b"12345"))
    await asyncio.sleep(0.8)
    client.send(b"67890")
    await world.upstream.until(lambda: world.upstream.bytes_received.endswith(b"67890"))
    world.upstream.write(OK)

    assert status(await client.answer()) == 200


async def test_a_reader_that_stops_is_closed_and_takes_its_request_with_it(world: World):
    world.limit(body_timeout=0.5)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
    world.upstream.answer = lambda _head: big
    client = await world.connect(limit=8192)
    client.send(KEPT)

    await client.head()

    await world.quiet()
    await world.upstream.until(lambda: world.upstream.open_connections == 0)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_h3_a_slow_reader_gets_the_last_byte_of_an_answer_that_closes(
    world: World, version, monkeypatch: pytest.MonkeyPatch
):
    """Closing waits for the reader, not for a clock: half of an old answer would look whole."""
    monkeypatch.setattr(client_wire, "LINGER_SECONDS", 0.2)
    size = 150_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    world.upstream.answer = lambda _head: head + b"x" * size
    client = await world.connect(limit=8192)
    await until(lambda: len(world.listener) == 1)
    for one, option in ((client.writer, "SO_RCVBUF"), (stalled(world)._transport, "SO_SNDBUF")):
        connection = one.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 16384)
    client.send(get("/public/x", version=version))
    await client.head()
    # Longer than a connection lingers that has nothing left to say.
    await asyncio.sleep(1.2)

    assert len(await client.rest()) == size


# Pipelines.


async def test_h16_pipelined_requests_wait_while_their_answers_are_not_read(world: World):
    body = b"x" * 60_000
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    client = await world.connect(limit=8192)
    count = 1500
    client.send(KEPT * count)
    await until(lambda: len(world.upstream.heads) > 5)
    await asyncio.sleep(0.5)
    asked = len(world.upstream.heads)
    held = stalled(world)._transport.get_write_buffer_size()
    for _ in range(count):
        assert (await client.answer()).endswith(body)

    assert asked < count
    assert held < 1024 * 1024
    assert len(world.upstream.heads) == count


async def test_half_closed_clients_get_every_answer_they_asked_for(world: World):
    answer = await world.send(KEPT * 3, half_close=True)

    assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_an_empty_line_after_the_last_request_is_nothing(world: World):
    answer = await world.send(KEPT + b"\r\n", half_close=True)

    assert answer.count(b"HTTP/1.1") == 1


# Bodies, as large as they like.


async def producing(writer: asyncio.StreamWriter, count: int, block: bytes) -> None:
    for _ in range(count):
        writer.write(block)
        await writer.drain()


@pytest.mark.parametrize("chunked", [False, True])
async def test_h17_an_upload_of_200_mb_waits_for_a_slow_app(world: World, chunked):
    arrived, may_read = 0, asyncio.Event()

    async def slow_app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        await may_read.wait()
        end, tail = b"end\r\n0\r\n\r\n" if chunked else b"end", b""
        while not tail.endswith(end):
            data = await reader.read(1 << 20)
            arrived += len(data)
            tail = (tail + data)[-len(end) :]
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(slow_app, "127.0.0.1", 0, limit=1 << 18)
    before, world.upstream.port = world.upstream.port, server.sockets[0].getsockname()[1]
    block, count = b"x" * (1 << 20), 200
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {(count << 20) + 3}"
    client = await world.connect()
    client.send(get("/public/up", framing, method="POST", connection="keep-alive"))
    whole = b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
    sending = asyncio.get_running_loop().create_task(producing(client.writer, count, whole))
    await asyncio.sleep(0.5)
    connection = next(iter(world.plane.upstreams["app"]._target_of))
    held = connection.transport.get_write_buffer_size()
    assert not sending.done()
    may_read.set()
    await asyncio.wait_for(sending, 30)
    client.send(b"3\r\nend\r\n0\r\n\r\n" if chunked else b"end")

    assert status(await client.answer()) == 200
    assert held < 1024 * 1024
    assert arrived >= (count << 20)
    server.close()
    world.upstream.port = before


@pytest.mark.parametrize("chunked", [False, True])
async def test_h17_a_download_of_200_mb_waits_for_a_slow_client(world: World, chunked):
    block, count = b"x" * (1 << 20), 200
    sent = 0

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        framing = (
            b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (count << 20)
        )
        writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        for _ in range(count):
            writer.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n" if chunked else b"")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(app, "127.0.0.1", 0)
    before, world.upstream.port = world.upstream.port, server.sockets[0].getsockname()[1]
    client = await world.connect(limit=1 << 18)
    client.send(get("/public/down"))
    await client.head()
    await asyncio.sleep(0.5)
    assert sent < count
    assert stalled(world)._transport.get_write_buffer_size() < 1024 * 1024
    got = 0
    async with asyncio.timeout(60):
        while data := await client.reader.read(1 << 20):
            got += data.count(b"x")

    assert got == count << 20
    server.close()
    world.upstream.port = before


async def test_an_early_answer_to_an_endless_upload_arrives(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    client = await world.connect()
    client.send(get("/public/x", "Content-Length: 99999999", method="POST"))
    sending = asyncio.get_running_loop().create_task(producing(client.writer, 90, b"x" * 1_000_000))

    answer = await client.answer()

    assert status(answer) == 413
    assert b"\r\nConnection: close\r\n" in answer
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


# Who and how many.


@pytest.mark.parametrize(
    ("limit", "expected"), [("connections", 503), ("connections_per_address", 429)]
)
async def test_too_many_connections_are_told_and_far_too_many_too(
    world: World, limit: str, expected: int
):
    world.limit(**{limit: 3})
    kept = [await world.connect() for _ in range(3)]
    for client in kept:
        client.send(KEPT)
        assert status(await client.answer()) == 200

    answer = await world.send(KEPT)
    crowd = [await world.connect() for _ in range(80)]
    told = [await client.rest() for client in crowd]

    assert status(answer) == expected
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert {status(each) for each in told} == {expected}
    kept[0].send(KEPT)
    assert status(await kept[0].answer()) == 200


async def test_one_address_may_not_take_every_connection(world: World):
    world.limit(connections_per_address=1)
    first = await world.connect()
    first.send(KEPT)
    assert status(await first.answer()) == 200

    assert status(await world.send(KEPT)) == 429
    other = await world.connect(local_addr=("127.0.0.2", 0))
    other.send(KEPT)
    assert status(await other.answer()) == 200


class Gone(asyncio.Transport):
    """A transport whose peer has left before anybody looked."""

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__()
        self._family = family

    def get_extra_info(self, name, default=None):
        return type("Socket", (), {"family": self._family}) if name == "socket" else default


def test_i4_a_peer_without_an_address_is_not_taken_for_a_unix_socket():
    assert peer_address(Gone(socket.AF_INET)) == ""
    assert peer_address(Gone(socket.AF_UNIX)) == "unix"


# Whatever goes wrong here.


async def test_an_error_of_ours_closes_one_connection_and_is_reported_once(world: World):
    class Broken:
        def decide(self, _request, _now):
            raise ZeroDivisionError

    good, world.plane = world.plane, world.plane
    world.change(pipeline=Broken())
    assert await world.send(KEPT) == b""
    world.change(pipeline=good.pipeline)
    assert status(await world.send(get("/public/x"))) == 200

    assert [type(report["exception"]) for report in world.reports] == [ZeroDivisionError]
    world.reports.clear()
    await world.quiet()


async def test_no_socket_is_left_behind(world: World):
    async def abandoned(raw: bytes) -> None:
        client = await world.connect()
        client.send(raw)
        await asyncio.sleep(0.02)
        client.writer.transport.abort()

    for raw in (b"", b"GET", KEPT, POST, POST + b"x", b"\0", KEPT * 20, get("/x")):
        await abandoned(raw)
        await world.send(raw, half_close=True)

    await world.quiet()
    pool = world.plane.upstreams["app"]
    await until(lambda: pool._open == len(pool.targets[0].idle))
    assert len(world.tasks) == 0


async def test_h16_a_body_of_tiny_chunks_lets_everybody_else_have_a_turn(world: World, monkeypatch):
    """uvloop reads on as long as there is something: seconds of work, if nobody stops it."""
    turn, fed_in_turn = 0, Counter()
    feed = ChunkedBody.feed

    def counted(body: ChunkedBody, data: bytes):
        if len(data) > 8192:
            fed_in_turn[turn] += 1
        return feed(body, data)

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(ChunkedBody, "feed", counted)
    client = await world.connect()
    ticking = asyncio.get_running_loop().create_task(turning())
    client.send(get("/public/x", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"1\r\nx\r\n" * 500_000 + b"0\r\n\r\n")

    answer = await client.rest()
    ticking.cancel()
    assert status(answer) == 200
    assert len(fed_in_turn) > 3
    assert max(fed_in_turn.values()) == 1
