"""Over TLS each half of a connection closes by itself, as it does without (H20, RFC 9112 §9.8)."""

import asyncio
import re
import socket
import ssl

import pytest

from gateway.proxy import client_wire
from gateway.proxy.client import ClientConnection
from tests.certificates import make_pair, written
from tests.fakes import OK
from tests.proxy.conftest import World, listening, trusting, until
from tests.proxy.strict_client import Broken, Whole, ask
from tests.proxy.test_exchange import get, status
from tests.proxy.tls_client import VERSIONS, TlsSocket

BIG = bytes(range(256)) * 40_000  # about 10 MB
KEPT = get("/public/x", connection="keep-alive")


@pytest.fixture
async def secure(world: World, tls: ssl.SSLContext) -> World:
    """The world with a listener that speaks TLS."""
    await listening(world, tls=tls, proxy_protocol=False)
    return world


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return request.param


@pytest.fixture(params=[False, True], ids=["close_notify", "close_notify and FIN"])
def fin(request: pytest.FixtureRequest) -> bool:
    return request.param


def asked(world: World, raw: bytes, method: str = "GET", *, fin: bool, **client) -> Whole | Broken:
    """Send *raw* and close_notify, and read the answer. Blocks."""
    connection = TlsSocket(world.port, trusting(**client), fin=fin)
    return ask(connection, raw, method, half_close=True)


async def connected(world: World, **client) -> TlsSocket:
    return await asyncio.to_thread(TlsSocket, world.port, trusting(**client))


def clients(world: World) -> list[ClientConnection]:
    """Those whose handshake is done."""
    return [each for each in world.listener._connections if isinstance(each, ClientConnection)]


def requests(world: World) -> list[int]:
    """The statuses of all that is over."""
    return [told.status for told in world.observed.requests]


# The client's half ends first.

ANSWERS: dict[str, bytes] = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BIG), BIG),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(BIG), BIG),
    "until close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b" % BIG,
}


async def test_a_half_closed_client_gets_its_answer(secure: World, version, fin: bool):
    got = await asyncio.to_thread(asked, secure, get("/public/x"), fin=fin, maximum_version=version)

    assert got == Whole(200, b"ok")
    await secure.quiet()


@pytest.mark.parametrize("framing", ANSWERS)
async def test_a_half_closed_client_gets_all_of_a_long_answer(
    secure: World, version, fin: bool, framing: str
):
    secure.upstream.close_after_answer = framing == "until close"
    secure.upstream.answer = lambda _head: ANSWERS[framing]

    got = await asyncio.to_thread(asked, secure, get("/public/x"), fin=fin, maximum_version=version)

    assert got == Whole(200, BIG)
    await secure.quiet()


@pytest.mark.usefixtures("often")
async def test_a_half_closed_client_waits_for_a_slow_app(secure: World, version, fin: bool):
    secure.upstream.answer = lambda _head: None
    asking = asyncio.create_task(
        asyncio.to_thread(asked, secure, get("/public/x"), fin=fin, maximum_version=version)
    )
    await until(lambda: any(each._looks >= 8 for each in clients(secure)))
    secure.upstream.write(OK)

    assert await asking == Whole(200, b"ok", interim=(100, 100))


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_that_ends_by_itself_and_then_by_tls_is_answered(
    secure: World, fin: bool, framing: str
):
    if framing == "length":
        raw = get("/public/x", f"Content-Length: {len(BIG)}", method="POST") + BIG
    else:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG)
        raw = get("/public/x", "Transfer-Encoding: chunked", method="POST") + body

    secure.upstream.answer = lambda _head: None
    asking = asyncio.create_task(asyncio.to_thread(asked, secure, raw, "POST", fin=fin))
    await secure.upstream.until(lambda: sum(map(len, secure.upstream.received)) > len(BIG), 20)
    await until(lambda: any(each._half_closed for each in clients(secure)))
    secure.upstream.write(OK)

    assert await asking == Whole(200, b"ok")


async def test_every_pipelined_request_before_the_end_is_answered(secure: World, fin: bool):
    def talk() -> bytes:
        connection = TlsSocket(secure.port, trusting(), fin=fin)
        connection.sendall(KEPT * 3 + get("/x", connection="keep-alive"))
        connection.end()
        received = connection.rest()
        connection.close()
        return received

    received = await asyncio.to_thread(talk)

    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"200", b"200", b"200", b"401"]
    await secure.quiet()


@pytest.mark.parametrize(
    "begun",
    [
        get("/public/x", "Content-Length: 10", method="POST") + b"half",
        get("/public/x", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhel",
    ],
)
async def test_a_body_that_tls_ends_too_early_is_no_request(secure: World, fin: bool, begun):
    secure.upstream.answer = lambda _head: None
    connection = await asyncio.to_thread(TlsSocket, secure.port, trusting(), fin=fin)
    connection.sendall(begun)
    await secure.upstream.until(lambda: begun[-3:] in secure.upstream.bytes_received)

    connection.end()

    assert await asyncio.to_thread(connection.rest) == b""
    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)
    await secure.quiet()
    assert requests(secure) == [499]
    connection.close()


async def test_a_head_that_tls_ends_too_early_is_refused(secure: World, fin: bool):
    got = await asyncio.to_thread(asked, secure, b"GET /public/x HTTP/1.1\r\nHost: a", fin=fin)

    assert isinstance(got, Whole)
    assert got.status == 400
    assert secure.upstream.heads == []


@pytest.mark.parametrize("how", ["FIN", "reset", "garbage"])
async def test_h20_a_client_whose_tls_breaks_off_takes_its_request_with_it(secure: World, how: str):
    """Nobody said that it was all; whoever cut it may not be the client."""
    secure.upstream.answer = lambda _head: None
    connection = await connected(secure)
    connection.sendall(get("/public/x"))
    await secure.upstream.until(lambda: bool(secure.upstream.heads))

    if how == "FIN":
        connection.plain.shutdown(socket.SHUT_WR)
    elif how == "reset":
        connection.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.plain.close()
    else:
        connection.send_ciphertext(b"\x17\3\3\0\x20" + bytes(32))

    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)
    await secure.quiet()
    assert requests(secure) == [499]
    if how == "garbage":
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            await asyncio.to_thread(connection.rest)
    connection.close()


@pytest.mark.usefixtures("often")
async def test_h20_a_client_that_ends_and_leaves_answers_a_probe_with_a_reset(secure: World):
    secure.upstream.answer = lambda _head: None
    connection = await connected(secure)
    connection.sendall(get("/public/x"))
    await secure.upstream.until(lambda: bool(secure.upstream.heads))

    connection.end()
    connection.close()

    await secure.upstream.until(lambda: secure.upstream.open_connections == 0)
    await secure.quiet()
    assert requests(secure) == [499]


async def test_who_goes_on_after_its_own_end_is_not_heard(secure: World):
    secure.upstream.answer = lambda _head: None
    connection = await connected(secure)
    connection.sendall(get("/public/x"))
    await secure.upstream.until(lambda: bool(secure.upstream.heads))
    connection.end()
    flood = asyncio.create_task(asyncio.to_thread(pours, connection, KEPT * 1000, 1 << 28))
    await until(lambda: all(each._half_closed for each in clients(secure)))
    await until(lambda: all(not reading(each) for each in clients(secure)))
    secure.upstream.write(OK)

    await secure.quiet()
    assert await flood < 1 << 28
    assert len(secure.upstream.heads) == 1
    connection.close()


def reading(connection) -> bool:
    """Whether the plain transport below still reads."""
    below = connection._transport._below
    return below.is_reading() if hasattr(below, "is_reading") else False


def pours(connection: TlsSocket, ciphertext: bytes, most: int) -> int:
    """Send until nobody takes it; return how much was taken."""
    sent = 0
    connection.plain.settimeout(10)
    try:
        while sent < most:
            connection.send_ciphertext(ciphertext)
            sent += len(ciphertext)
    except OSError:
        pass
    return sent


# Our half ends first.


async def test_a_refusal_reaches_a_client_that_goes_on_sending(secure: World, version):
    """It would be lost in a reset, if what is still sent were left unread."""

    def talk() -> bytes:
        connection = TlsSocket(secure.port, trusting(maximum_version=version))
        connection.sendall(get("/small/x", "Content-Length: 900000", method="POST"))
        for _ in range(9):
            connection.sendall(bytes(100_000))
        received = connection.rest()
        connection.end()
        connection.close()
        return received

    received = await asyncio.to_thread(talk)

    assert status(received) == 413
    assert received.endswith(b"}")
    await secure.quiet()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (get("/public/" + "x" * 33_000), 431),
        (get("/small/x", "Content-Length: 100000000", method="POST"), 413),
        (b"no http\r\n\r\n", 400),
    ],
)
async def test_whoever_never_stops_sending_after_a_refusal_does_not_hold_us(
    secure: World, raw: bytes, expected: int
):
    connection = await connected(secure)
    connection.sendall(raw)
    await until(lambda: requests(secure) == [expected])

    pouring = asyncio.to_thread(endlessly, connection, bytes(100_000))

    assert await asyncio.wait_for(pouring, 20) < 64 << 20
    await secure.quiet()
    connection.close()


def endlessly(connection: TlsSocket, data: bytes) -> int:
    sent = 0
    try:
        while sent < 64 << 20:
            connection.sendall(data)
            sent += len(data)
    except OSError:
        pass
    return sent


async def test_an_answer_that_closes_ends_with_close_notify_and_the_clients_end_is_awaited(
    secure: World,
):
    connection = await connected(secure)
    connection.sendall(get("/public/x"))
    assert (await asyncio.to_thread(connection.rest)).endswith(b"ok")
    assert len(secure.listener) == 1

    connection.end()
    connection.close()

    await secure.quiet()


# Whoever does not read.


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
async def test_h17_no_more_is_held_for_a_stalled_reader_than_without_tls(secure: World, version):
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000)
    secure.upstream.answer = lambda _head: big
    connection = await connected(secure, maximum_version=version)
    connection.sendall(get("/public/x"))
    await secure.upstream.until(lambda: bool(secure.upstream.heads))
    (client,) = secure.listener._connections
    await until(lambda: not client._writable)

    # What was written while it was still taken, and what one read of the app's answer brought.
    held = client._transport.get_write_buffer_size()
    endpoint = client._transport._endpoint
    assert held <= client_wire.WRITE_HIGH + 260 * 1024
    assert endpoint.outgoing.pending == endpoint._incoming.pending == 0

    connection.close()
    await secure.quiet()


# Certificates.


async def test_a_certificate_exchanged_under_load_is_seen_by_new_handshakes_alone(
    world: World, tls: ssl.SSLContext, tmp_path
):
    (tmp_path / "second").mkdir()
    written(tmp_path / "second", *make_pair("localhost"))
    second = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    second.load_cert_chain(tmp_path / "second" / "tls.crt", tmp_path / "second" / "tls.key")
    shown = [tls]
    tls.sni_callback = lambda connection, _name, _first: setattr(connection, "context", shown[0])
    await listening(world, tls=tls, proxy_protocol=False)

    def asks(times: int) -> set[bytes]:
        seen = set()
        for _ in range(times):
            connection = TlsSocket(world.port, trusting())
            seen.add(connection.tls.getpeercert(binary_form=True))
            connection.sendall(get("/public/x"))
            connection.end()
            assert connection.rest().endswith(b"ok")
            connection.close()
        return seen

    kept = await connected(world)
    before = await asyncio.to_thread(asks, 10)
    load = asyncio.create_task(asyncio.to_thread(asks, 40))
    await until(lambda: len(world.observed.requests) > 20)
    shown[0] = second
    during = await load
    after = await asyncio.to_thread(asks, 10)
    kept.sendall(get("/public/x"))

    assert len(before) == len(after) == 1
    assert during == before | after
    assert (await asyncio.to_thread(kept.rest)).endswith(b"ok")
    kept.close()
