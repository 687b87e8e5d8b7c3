"""WebSockets: who may open one, and that every byte arrives before both sides close (W1 to W5)."""

import asyncio
import os
from contextlib import suppress

import pytest

from gateway.proxy import tunnel
from gateway.proxy.plane import Renewed
from tests.proxy.conftest import World, until
from tests.proxy.test_exchange import get, status

HANDSHAKE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


def upgrade(world: World, *lines: str, origin="http://localhost", path="/ws", **options) -> bytes:
    cookie = f"Cookie: accessToken={world.token()}"
    told = (f"Origin: {origin}",) if origin else ()
    return get(path, *HANDSHAKE, cookie, *told, *lines, connection="keep-alive, Upgrade", **options)


class App:
    """A raw app: accepts one handshake and gives the test its ends of the connection."""

    def __init__(self) -> None:
        self.port = 0
        self.switched = SWITCHED
        self.connections: asyncio.Queue = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 17)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for writer in self._writers:
            writer.close()
        self._server.close()

    async def _serve(self, reader, writer) -> None:
        self._writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(self.switched)
        self.connections.put_nowait((head, reader, writer))

    async def accepted(self):
        async with asyncio.timeout(5):
            return await self.connections.get()


@pytest.fixture
async def app(world: World):
    app = App()
    await app.start()
    world.upstream.port, before = app.port, world.upstream.port
    yield app
    world.upstream.port = before
    await app.stop()


async def opened(world: World, app: App, *lines: str):
    client = await world.connect()
    client.send(upgrade(world, *lines))
    head = await client.head()
    assert status(head) == 101
    return client, head, await app.accepted()


async def test_w3_handshake_headers_pass_both_ways_and_identity_is_added(world: World, app: App):
    _, answer, (asked, _, _) = await opened(world, app)

    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in asked
    assert b"\r\nSec-WebSocket-Protocol: chat, superchat\r\n" in asked
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" in asked
    assert b"\r\nX-Forwarded-User: alice\r\n" in asked
    assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in answer
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost.evil.example", "null"])
async def test_w1_a_page_of_another_site_opens_nothing(world: World, origin):
    answer = await world.send(upgrade(world, origin=origin))

    assert status(answer) == 403
    assert world.upstream.received == []


async def test_w1_without_credentials_the_answer_is_401_and_nothing_is_asked(world: World):
    raw = get("/ws", *HANDSHAKE, "Origin: http://localhost", connection="Upgrade")

    answer = await world.send(raw + b"\x81\x05hello")

    assert status(answer) == 401
    assert answer.count(b"HTTP/1.1") == 1
    assert world.upstream.received == []


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (("Content-Length: 5",), {}),
        (("Content-Length: 0",), {}),
        (("Transfer-Encoding: chunked",), {}),
        ((), {"method": "POST"}),
        ((), {"version": "1.0"}),
    ],
)
async def test_w2_only_a_get_of_1_1_without_a_body_upgrades(world: World, lines, line):
    answer = await world.send(upgrade(world, *lines, **line))

    assert status(answer) == 400
    assert world.upstream.received == []


async def test_w2_an_app_that_does_not_switch_gets_no_byte_of_the_clients_stream(world: World):
    answer = await world.send(upgrade(world) + b"\x81\x05hello" + get("/public/x"))

    assert status(answer) == 200
    assert answer.count(b"HTTP/1.1") == 1
    assert b"hello" not in world.upstream.bytes_received
    assert len(world.upstream.heads) == 1


async def test_a_switch_to_something_else_is_a_502(world: World, app: App):
    app.switched = SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: h2c")

    answer = await world.send(upgrade(world))

    assert status(answer) == 502


async def test_what_follows_the_handshake_at_once_arrives_after_the_switch(world: World, app: App):
    app.switched = b""
    client = await world.connect()
    client.send(upgrade(world) + b"early-")
    head, reader, writer = await app.accepted()
    client.send(b"later-")
    assert head.endswith(b"\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)

    writer.write(SWITCHED + b"first")

    assert status(await client.head()) == 101
    assert await client.read(5) == b"first"
    client.send(b"last")
    assert await reader.readexactly(16) == b"early-later-last"


async def test_w5_all_that_the_app_sent_arrives_before_the_client_is_closed(world: World, app: App):
    client, _, (_, _, writer) = await opened(world, app)
    data = os.urandom(3_000_000)
    writer.write(data)
    writer.close()

    assert await client.read(len(data)) == data
    assert await client.rest() == b""
    client.close()
    await world.quiet()
    await until(lambda: not world.observed.decisions[1:])
    assert world.observed.requests[0].bytes_out == len(data)


async def test_w5_all_that_the_client_sent_arrives_before_the_app_is_closed(world: World, app: App):
    client, _, (_, reader, writer) = await opened(world, app)
    data = os.urandom(3_000_000)
    client.send(data)
    client.close()

    assert await reader.readexactly(len(data)) == data
    assert await reader.read() == b""
    writer.close()
    await world.quiet()


async def test_a_half_closed_side_still_hears_the_other(world: World, app: App):
    client, _, (_, reader, writer) = await opened(world, app)
    client.send(b"question")
    client.writer.write_eof()

    assert await reader.read() == b"question"
    writer.write(b"answer")
    writer.close()

    assert await client.rest() == b"answer"
    client.close()
    await world.quiet()


@pytest.mark.parametrize("who", ["client", "app"])
async def test_w5_a_side_that_dies_takes_the_other_with_it(world: World, app: App, who):
    client, _, (_, reader, writer) = await opened(world, app)

    (client.writer if who == "client" else writer).transport.abort()

    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await (reader if who == "client" else client.reader).read() == b""
    client.close()
    writer.close()
    await world.quiet()


async def test_w3_64_mib_pass_a_slow_reader_at_bounded_memory(world: World, app: App):
    client, _, (_, _, writer) = await opened(world, app)
    connection = next(iter(world.listener._connections))
    total, block = 64 * 1024 * 1024, b"\x82\x7e\xff\xfc" + b"x" * 65532
    highest = 0

    async def produce() -> None:
        for _ in range(total // len(block)):
            writer.write(block)
            await writer.drain()

    producing = asyncio.get_running_loop().create_task(produce())
    await asyncio.sleep(0.2)  # the client does not read: everything fills up
    left = total
    while left:
        left -= len(await client.read(min(left, 1 << 20)))
        highest = max(highest, connection._transport.get_write_buffer_size())
    await producing

    assert highest < 1024 * 1024


async def test_cookies_of_a_renewal_ride_on_the_switch(world: World, app: App):
    world.renewal = Renewed(world.token(), ("accessToken=new", "refreshToken=new"), "ok")
    raw = get(
        "/ws",
        *HANDSHAKE,
        "Origin: http://localhost",
        "Cookie: refreshToken=old",
        connection="Upgrade",
    )
    client = await world.connect()
    client.send(raw + b"early")

    head = await client.head()

    assert status(head) == 101
    assert b"\r\nSet-Cookie: accessToken=new\r\nSet-Cookie: refreshToken=new\r\n" in head
    _, reader, _ = await app.accepted()
    assert await reader.readexactly(5) == b"early"


async def test_w4_the_end_of_the_session_closes_its_socket_on_both_sides(world: World, app: App):
    client, _, (_, reader, writer) = await opened(world, app)
    assert world.plane.streams.sessions() == ("s1",)

    world.plane.streams.end_session("s1")
    client.send(b"too late")

    farewell = await client.rest()
    assert farewell[:4] == b"\x88\x0f\x03\xf0"
    assert await reader.read() == b""
    writer.close()
    client.close()
    await world.quiet()
    assert len(world.plane.streams) == 0


async def test_w5_a_drain_says_1001_between_two_frames_and_lets_the_client_finish(
    world: World, app: App
):
    client, _, (_, reader, writer) = await opened(world, app)
    writer.write(b"\x82\x05ab")
    assert await client.read(4) == b"\x82\x05ab"

    draining = asyncio.get_running_loop().create_task(world.listener.drain(5.0))
    await asyncio.sleep(0)
    writer.write(b"cde\x82\x01z")

    assert await client.read(3) == b"cde"
    assert (await client.read(14))[:4] == b"\x88\x0c\x03\xe9"
    client.send(b"goodbye")
    assert await reader.readexactly(7) == b"goodbye"
    writer.close()
    assert await client.rest() == b""
    client.close()
    await draining
    assert len(world.listener) == 0


async def test_an_open_websocket_takes_no_connection_from_the_pool(world: World, app: App):
    world.serve_from(connections=1, queue=0)
    await opened(world, app)
    await opened(world, app)


async def test_an_open_websocket_keeps_nothing_of_the_head_that_opened_it(world: World, app: App):
    await opened(world, app, "User-Agent: browser")

    (exchange,) = world.plane.streams._by_session["s1"]
    connection = next(iter(world.listener._connections))

    assert (exchange._head, exchange._lines) == (b"", [])
    assert dict(exchange.request.noted) == {"user-agent": b"browser"}
    assert (connection._forwarding, connection._familiar) == (b"", None)


async def test_w5_a_client_that_left_is_not_waited_for_by_a_drain_of_a_silent_app(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tunnel, "CLOSING_SECONDS", 0.2)
    client, _, (_, reader, writer) = await opened(world, app)
    client.send(b"question")
    assert await reader.readexactly(8) == b"question"
    client.close()
    assert await reader.read() == b""

    # The farewell meets a connection that is closed, which resets it: nobody will read it now.
    await asyncio.wait_for(world.listener.drain(60.0), 30.0)

    writer.close()
    assert len(world.listener) == 0
