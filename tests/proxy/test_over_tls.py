"""Deadlines, limits and endings hold over TLS as they do without (H3, H16, H17)."""

import asyncio
import ssl

import pytest

from gateway.proxy.client_wire import WRITE_HIGH
from tests.proxy.conftest import Client, World, listening, over_tls, trusting, until
from tests.proxy.test_exchange import get, status

KEPT = get("/public/x", connection="keep-alive")
POST = get("/public/x", "Content-Length: 10", method="POST", connection="keep-alive")
CHUNKED = get("/public/x", "Transfer-Encoding: chunked", method="POST")


@pytest.fixture
async def secure(world: World, tls: ssl.SSLContext) -> World:
    """The world with a listener that speaks TLS."""
    await listening(world, tls=tls, proxy_protocol=False)
    return world


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n", 408),
        (POST + b"half", 408),
        (CHUNKED + b"5\r\nhel", 408),
        (get("/public/x", *(f"X-{n}: y" for n in range(101))), 431),
        (get("/public/" + "x" * 33_000), 431),
        (CHUNKED + b"5;" + b"x" * 5000, 400),
        (get("/small/x", "Content-Length: 11", method="POST"), 413),
    ],
)
async def test_h16_what_is_slow_or_too_much_is_answered_and_closed(
    secure: World, request_, expected
):
    secure.limit(head_timeout=0.3, body_timeout=0.3)
    secure.upstream.answer = lambda _head: None
    client = await over_tls(secure, b"")
    client.send(request_)

    assert status(await client.rest()) == expected
    await secure.quiet()
    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)


async def test_an_idle_connection_is_closed_after_its_time(secure: World):
    secure.limit(idle_timeout=0.3)
    client = await over_tls(secure, b"")
    client.send(KEPT)
    assert status(await client.answer()) == 200

    assert await client.rest() == b""
    await secure.quiet()


async def test_h16_a_reader_that_stops_is_closed_and_takes_its_request_with_it(secure: World):
    secure.limit(body_timeout=0.5)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
    secure.upstream.answer = lambda _head: big
    client = await over_tls(secure, b"")
    client.send(KEPT)
    await until(lambda: bool(secure.upstream.heads))
    client.writer.transport.pause_reading()

    await secure.quiet()
    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)
    client.writer.transport.abort()


async def test_h17_a_slow_reader_gets_all_of_it_and_little_is_held_for_it(secure: World):
    size = 30_000_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    secure.upstream.answer = lambda _head: head + b"x" * size
    client = await over_tls(secure, b"")
    client.send(get("/public/x"))
    await client.head()
    connection = next(iter(secure.listener._connections))
    held = 0
    got = 0
    async with asyncio.timeout(30):
        while data := await client.reader.read(1 << 16):
            got += len(data)
            held = max(held, connection._transport.get_write_buffer_size())

    assert got == size
    assert held <= WRITE_HIGH + 256 * 1024 + 4096


class Raw(asyncio.Protocol):
    """A client that looks at TLS itself: did the end come with a close_notify?"""

    def __init__(self, request: bytes, *, polite: bool = True) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.request = request
        self.received = b""
        self.polite = polite
        self.announced = False
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        self._go_on()

    def _go_on(self) -> None:
        try:
            self.tls.do_handshake()
            if self.request:
                self.tls.write(self.request)
                self.request = b""
            while data := self.tls.read(65536):
                self.received += data
            self.announced = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.announced = True
        self.transport.write(self.outgoing.read())
        if self.announced and self.polite:
            self.transport.close()

    def connection_lost(self, exc) -> None:
        self.over.set_result(exc)


async def ended(world: World, request: bytes) -> Raw:
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Raw(request), "127.0.0.1", world.port
    )
    await asyncio.wait_for(client.over, 10)
    return client


async def test_h3_an_answer_that_breaks_off_does_not_end_as_a_whole_one_does(secure: World):
    """To a client of HTTP/1.0, the close is the end of the body: TLS must not confirm it."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    secure.upstream.close_after_answer = True
    request = get("/public/x", version="1.0")

    secure.upstream.answer = lambda _head: chunked + b"0\r\n\r\n"
    whole = await ended(secure, request)
    secure.upstream.answer = lambda _head: chunked
    broken = await ended(secure, request)

    assert whole.received.endswith(b"hello")
    assert whole.announced
    assert len(secure.upstream.heads) == 2
    assert not broken.announced


async def test_a_client_that_does_not_close_after_us_is_not_waited_for_long(secure: World):
    """It has everything; what it would say before it closes is of no use to anybody."""
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Raw(get("/public/x"), polite=False), "127.0.0.1", secure.port
    )

    await asyncio.wait_for(client.over, 10)

    assert client.announced
    await secure.quiet()


async def test_r7_a_drain_waits_for_no_goodbye_of_an_idle_client(secure: World):
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Raw(KEPT, polite=False), "127.0.0.1", secure.port
    )
    await until(lambda: client.received.endswith(b"ok"))

    await asyncio.wait_for(secure.listener.drain(30.0), 10)

    await asyncio.wait_for(client.over, 10)


async def test_h20_a_client_that_leaves_takes_its_request_with_it(secure: World):
    secure.upstream.answer = lambda _head: None
    client: Client = await over_tls(secure, b"")
    client.send(KEPT)
    await secure.upstream.until(lambda: bool(secure.upstream.heads))

    client.writer.transport.abort()

    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)
    await secure.quiet()
