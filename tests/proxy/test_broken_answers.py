"""No answer of an app that is broken or cut short ever looks whole to a client (H3, H8, H11, H13).

Whatever the app sends, a client gets a 502 or a connection that breaks off; which of the two
depends only on whether the answer's head was on its way already.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.proxy.pool import Target
from tests.certificates import make_pair, written
from tests.fakes import OK
from tests.proxy.conftest import World, until
from tests.proxy.strict_client import KINDS, Broken, Kind, Whole, ask, dial
from tests.proxy.test_exchange import get

Ask = Callable[[Kind], Awaitable[Whole | Broken]]

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def length(value: bytes, body: bytes = b"hello") -> bytes:
    return HEAD + b"Content-Length: " + value + b"\r\n\r\n" + body


# Broken whether or not the connection stays open behind them.
MALFORMED = {
    **{f"length {value!r}": length(value) for value in (b"x", b"-1", b"+5", b"5 5", b"5, 5")},
    **{f"length {value!r}": length(value) for value in (b"0x5", b"5.0", b"", b"5;", "٥".encode())},
    "a length of 20 digits": length(b"9" * 20),
    "a length that overflows 64 bits to 5": length(b"18446744073709551621"),
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "the same length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunked": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked and length": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    **{
        f"coding {value!r}": HEAD
        + b"Transfer-Encoding: "
        + value
        + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        for value in (
            *(b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity"),
            *(b"xchunked", b"chunked, chunked", b"", b'"chunked"', b"chunked;q=1", b"chunked,"),
        )
    },
    "chunked twice": HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"5\r\nhello\r\n0\r\n\r\n",
    **{
        f"chunk {wire!r}": CHUNKED + b"5\r\nhello\r\n" + wire
        for wire in (
            *(b"zz\r\n", b"-1\r\nx\r\n", b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b"1 \r\nx\r\n"),
            *(b" 1\r\nx\r\n", b"\r\n", b"1\nx\n", b"1\r\nxx\r\n", b"1\r\nx0\r\n\r\n"),
            *(b"1;a\rb\r\nx\r\n", b"1;\x00\r\nx\r\n", b"00000000000000001\r\nx\r\n"),
            *(b"FFFFFFFFFFFFFFFFF\r\n", b"0\r\nno trailer\r\n\r\n", b"0\r\na: \x00\r\n\r\n"),
            b"1;" + b"x" * 5000,
        )
    },
    **{
        f"status line {line!r}": line + b"\r\nContent-Length: 5\r\n\r\nhello"
        for line in (
            *(b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 -20 OK", b"HTTP/1.1 2OO OK"),
            *(
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1\t200 OK",
                b" HTTP/1.1 200 OK",
                b"\r\nHTTP/1.1 200 OK",
            ),
            *(b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"http/1.1 200 OK"),
            *(b"HTTP/1.10 200 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 000 OK", b"RTSP/1.0 200 OK"),
            *(b"ICE/1.0 200 OK", b"200 OK", b"HTTP/1.1", b"GET / HTTP/1.1", b"\x16\x03\x01"),
            # No byte of a reason may end its line, or the client's terminal (H8).
            *(b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x1b[2JK"),
            *(b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 OK\nX-Injected: 1"),
        )
    },
    **{
        f"header {line!r}": HEAD + line + b"\r\nContent-Length: 5\r\n\r\nhello"
        for line in (
            *(b"A: b\x00", b"A: b\rc", b"A: b\nB: c", b"A\x00: b", b"A : b", b": b", b"A"),
            *(b"A: b\r\n folded", b" A: b", b"A(: b", b"A: \x01", b"A: \x7f"),
        )
    },
    "a switch of protocols that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "lines that end in LF alone": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 5\n\nhello",
    "the greeting of another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "the answer of a store": b"-ERR unknown command\r\n",
    "no line at all": b"hello",
    "a head of 300 KB": HEAD + b"A: " + b"x" * 300_000 + b"\r\n\r\n",
    "30,000 headers": HEAD + b"A: bcdef\r\n" * 30_000 + b"\r\n",
    "a head without an end": HEAD + b"A: x\r\n" * 60_000,
    "interim answers without an end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
    "an interim answer that is ambiguous": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + OK,
}
# Broken by the end of the connection.
CUT_OFF = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 200 O",
    "half a head": HEAD + b"Content-Length: 5\r\n",
    "an interim answer alone": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "no body": length(b"5", b""),
    "half a body": length(b"5", b"hel"),
    "half a body of an app that closes": HEAD
    + b"Connection: close\r\nContent-Length: 5\r\n\r\nhel",
    "half a body of HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    "no chunk": CHUNKED,
    "half a chunk": CHUNKED + b"5\r\nhel",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
    "half a last chunk": CHUNKED + b"5\r\nhello\r\n0",
    "no end of the trailers": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "no end of a trailer": CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n",
}
WHOLE = {
    "length": (length(b"5"), 200),
    "length with leading zeros": (length(b"005"), 200),
    "chunked": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200),
    "chunked with extensions and trailers": (CHUNKED + b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n", 200),
    "until the close": (HEAD + b"\r\nhello", 200),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", 200),
    "after interim answers": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + length(b"5"), 200),
    "after an interim answer with an empty line too many": (
        b"HTTP/1.1 100 Continue\r\n\r\n\r\n" + length(b"5"),
        200,
    ),
    "a reason in Latin-1": (length(b"5").replace(b"OK", b"caf\xe9"), 200),
    "no reason": (length(b"5").replace(b" OK", b" "), 200),
    "an unusual status": (length(b"5").replace(b"200", b"299"), 299),
}


@pytest.fixture
async def asked(world: World, tmp_path: Path) -> Ask:
    """Ask the gateway as a client of the given kind, and read as strictly as one can."""
    written(tmp_path, *make_pair("localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    trusting = ssl.create_default_context(cafile=tmp_path / "tls.crt")
    tls_port = await world.listener.listen_tcp("127.0.0.1", 0, tls=context)

    async def ask_as(kind: Kind) -> Whole | Broken:
        def in_a_thread() -> Whole | Broken:
            over_tls = kind.endswith("TLS")
            connection = dial(tls_port, trusting) if over_tls else dial(world.port, None)
            return ask(connection, get("/public/x", version=kind[:3]))

        return await asyncio.to_thread(in_a_thread)

    return ask_as


@contextlib.asynccontextmanager
async def app_over_tls(world: World, folder: Path, raw: bytes, *, announced: bool):
    """Serve from an app over TLS that sends *raw* and closes, with or without saying so."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            with plain, context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(raw)
                if announced:
                    # The gateway may close without saying so itself: it has its answer.
                    with contextlib.suppress(OSError):
                        connection.unwrap()

    trusting = ssl.create_default_context(cafile=folder / "tls.crt")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        async def connect(factory) -> object:
            return await asyncio.get_running_loop().create_connection(
                factory, *listening.getsockname(), ssl=trusting, server_hostname="localhost"
            )

        serving = asyncio.get_running_loop().run_in_executor(None, serve, listening)
        world.serve_from(Target("app", connect))
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            await serving


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "cut"])
async def test_h3_over_tls_only_an_announced_end_is_the_end_of_an_answer(
    world: World, asked: Ask, tmp_path: Path, kind: Kind, announced
):
    """Anybody on the way can close a connection; only the app can say so (RFC 9112 §9.8)."""
    raw = HEAD + b"\r\nhello"
    async with app_over_tls(world, tmp_path, raw, announced=announced):
        got = await asked(kind)

        assert (got == Whole(200, b"hello")) is announced, got


def answer_with(world: World, raw: bytes, *, and_close: bool) -> None:
    world.upstream.answer = lambda _head: raw
    world.upstream.close_after_answer = and_close


@pytest.mark.parametrize("kind", KINDS)
async def test_h3_a_whole_answer_is_whole(world: World, asked: Ask, kind: Kind):
    """Guards the tests below: they must not pass because nothing ever is."""
    for name, (raw, status) in WHOLE.items():
        answer_with(world, raw, and_close=True)

        assert await asked(kind) == Whole(status, b"hello"), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("and_close", [True, False], ids=["closed", "kept open"])
async def test_h3_h8_a_malformed_answer_is_a_502_or_breaks_off(
    world: World, asked: Ask, kind: Kind, and_close
):
    world.limit(upstream_head=2.0, body_timeout=2.0)
    for name, raw in MALFORMED.items():
        answer_with(world, raw, and_close=and_close)

        got = await asked(kind)

        assert isinstance(got, Broken) or got.status == 502, (name, got)
        await nothing_kept(world)


@pytest.mark.parametrize("kind", KINDS)
async def test_h3_an_answer_cut_short_is_a_502_or_breaks_off(world: World, asked: Ask, kind: Kind):
    for name, raw in CUT_OFF.items():
        answer_with(world, raw, and_close=True)

        got = await asked(kind)

        assert isinstance(got, Broken) or got.status == 502, (name, got)
        await nothing_kept(world)


async def nothing_kept(world: World) -> None:
    """Wait until the connection is closed: it must not carry another answer (H19)."""
    pool = world.plane.upstreams["app"]
    await until(lambda: pool._open == 0)
    assert pool.targets[0].idle == []
