"""Either side cut off or held up at every byte of an exchange: nothing looks whole that is not, no
request arrives twice, and nothing is left behind (H3, H15, H19, H20, W5).
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import h11
import pytest
import uvloop

from gateway.proxy.balancing import Target
from gateway.proxy.plane import Renewed
from tests.proxy.conftest import World, connecting_to
from tests.proxy.strict_client import Broken, Whole
from tests.proxy.test_exchange import get
from tests.proxy.test_tunnel import SWITCHED, upgrade

Cut = Literal["closes", "resets", "pauses"]
CUTS: tuple[Cut, ...] = ("closes", "resets", "pauses")
_RESET = struct.pack("ii", 1, 0)
# Between two polls, and long enough for what was sent to be seen apart from what follows.
_A_MOMENT = 0.0005
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\n"
_SIZED = _HEAD + b"Content-Length: 5\r\n\r\nhello"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


_HELLO = Whole(200, b"hello")


@dataclass(frozen=True)
class Script:
    """What is asked, and what the app says to it; *expected* is what the client then has."""

    asked: bytes
    answer: bytes
    method: str = "GET"
    body: bytes = b""
    expected: Whole = _HELLO

    @property
    def head(self) -> int:
        """How long the head of the request is."""
        return self.asked.index(b"\r\n\r\n") + 4


SCRIPTS = {
    "a GET": Script(get("/public/cut"), _SIZED),
    "a GET answered in chunks": Script(get("/public/cut"), _CHUNKED),
    "a HEAD": Script(
        get("/public/cut", method="HEAD"), _SIZED[:-5], "HEAD", expected=Whole(200, b"")
    ),
    "an answer after interim ones": Script(
        get("/public/cut"), b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _CONTINUE + _SIZED
    ),
    "a POST": Script(
        get("/public/cut", "Content-Length: 7", method="POST") + b"content",
        _SIZED,
        "POST",
        b"content",
    ),
    "a POST in chunks both ways": Script(
        get("/public/cut", "Transfer-Encoding: chunked", method="POST")
        + b"3\r\ncon\r\n4;a=b\r\ntent\r\n0\r\nTrailer: x\r\n\r\n",
        _CHUNKED,
        "POST",
        b"content",
    ),
    "a POST that waits for 100": Script(
        get("/public/cut", "Content-Length: 7", "Expect: 100-continue", method="POST") + b"content",
        _SIZED,
        "POST",
        b"content",
        Whole(200, b"hello", (100,)),
    ),
    "a GET after a renewal": Script(get("/cut", "Cookie: refreshToken=old"), _SIZED),
    "a POST after a renewal": Script(
        get("/cut", "Cookie: refreshToken=old", "Content-Length: 7", method="POST") + b"content",
        _SIZED,
        "POST",
        b"content",
    ),
}


@dataclass
class App:
    """Reads requests as strictly as h11 does, and says its answer up to *until_byte*."""

    answer: bytes = b""
    until_byte: int | None = None
    cut: Cut = "closes"
    switches: bool = False
    port: int = 0
    whole: Counter[bytes] = field(default_factory=Counter)
    bodies: set[bytes] = field(default_factory=set)
    said: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.switches:
            await reader.readuntil(b"\r\n\r\n")
            if await self._say(writer):
                # It goes when the client does.
                await reader.read()
            return False
        parser, body, target = h11.Connection(h11.SERVER), b"", b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data and not target:
                    return False
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                target = event.target
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        self.whole[target] += 1
        if not target.endswith(b"/cut"):
            writer.write(_SIZED)
            return True
        self.bodies.add(body)
        return await self._say(writer)

    async def _say(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(self.answer[: self.until_byte])
        await writer.drain()
        self.said.set()
        if self.until_byte is None:
            return True
        if self.cut == "pauses":
            await asyncio.sleep(_A_MOMENT)
            writer.write(self.answer[self.until_byte :])
            return True
        await asyncio.sleep(_A_MOMENT)
        if self.cut == "resets":
            reset(writer)
        return False


def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@pytest.fixture
async def app(world: World):
    app = App()
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]
    world.serve_from(Target("strict", connecting_to(app)))
    world.renewal = Renewed(world.token(), ("accessToken=new", "refreshToken=new"), "ok")
    yield app
    for writer in tuple(app.open):
        writer.transport.abort()
    server.close()


def bytes_of(message: bytes) -> Iterable[int]:
    """Return where to cut: anywhere on the loop that serves, here and there on the other."""
    step = 1 if isinstance(asyncio.get_running_loop(), uvloop.Loop) else 4
    return (*range(0, len(message), step), len(message))


# The client.


async def ask(world: World, script: Script, until_byte: int, cut: Cut) -> Whole | Broken:
    """Ask as *script* has it; up to *until_byte*, and then be cut off or held up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    came = b""
    waits = b"Expect" in script.asked
    try:
        at = min(until_byte, script.head) if waits else until_byte
        writer.write(script.asked[:at])
        if waits and until_byte >= script.head:
            came = await reader.readexactly(len(_CONTINUE))
            writer.write(script.asked[at:until_byte])
        if until_byte < len(script.asked):
            await asyncio.sleep(_A_MOMENT)
            if cut == "pauses":
                writer.write(script.asked[until_byte:] if not waits or came else b"")
                if waits and not came:
                    writer.write(script.asked[until_byte : script.head])
                    came = await reader.readexactly(len(_CONTINUE))
                    writer.write(script.asked[script.head :])
            elif cut == "closes":
                writer.write_eof()
            else:
                reset(writer)
                return Broken("the client left")
        async with asyncio.timeout(10):
            while data := await reader.read(65536):
                came += data
        return understood(came, script.method)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        return Broken(repr(error))
    finally:
        writer.close()


def understood(data: bytes, method: str) -> Whole | Broken:
    """Read *data*, after which the connection ended as it should, as a careful client does."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    parser.receive_data(b"")
    status, body, interim = 0, b"", []
    try:
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return Broken(repr(event))
    except h11.RemoteProtocolError as error:
        return Broken(str(error))
    behind = parser.trailing_data[0]
    return Broken(f"behind it: {behind!r}") if behind else Whole(status, body, (*interim,))


async def nothing_is_left(world: World) -> None:
    """Wait until every gauge, pool and table is as it was before anybody asked."""
    plane = world.plane
    pool = plane.upstreams["app"]
    [target] = pool.targets
    async with asyncio.timeout(10):
        while not (
            len(world.listener) == len(world.tasks) == len(plane.streams) == len(pool._queue) == 0
            and not world.listener._counts._by_address
            and not pool._detached
            and target.tunnels == target.busy == 0
            and pool._open == target.open == len(target.idle) == len(pool._target_of)
            and plane.deadlines._timed == set(target.idle)
            and all(idle.usable and idle.exchange is None for idle in target.idle)
        ):
            await asyncio.sleep(_A_MOMENT)


async def everything_still_works(world: World, app: App, script: Script, name: object) -> None:
    """Check what holds after any cut, and that a fresh request is none the wiser."""
    await nothing_is_left(world)
    assert app.bodies <= {script.body}, name
    most = 2 if app.until_byte == 0 and script.method != "POST" else 1
    assert app.whole[b"/cut"] + app.whole[b"/public/cut"] <= most, name
    assert len(world.observed.requests) <= 1, name
    answer = await world.send(get("/public/next"))
    assert answer.endswith(b"\r\n\r\nhello"), name
    await nothing_is_left(world)
    app.whole.clear()
    app.bodies.clear()
    world.observed.requests.clear()


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_client_cut_off_or_held_up_at_any_byte_of_its_request(
    world: World, app: App, name: str, cut: Cut
):
    script = SCRIPTS[name]
    app.answer = script.answer
    for at in bytes_of(script.asked):
        got = await ask(world, script, at, cut)

        whole = at == len(script.asked)
        if whole or cut == "pauses":
            assert got == script.expected, at
        else:
            assert isinstance(got, Broken) or got.status == 400, (at, got)
            await nothing_is_left(world)
            assert not app.whole, at
        await everything_still_works(world, app, script, at)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", SCRIPTS)
async def test_h3_h15_an_app_cut_off_or_held_up_at_any_byte_of_its_answer(
    world: World, app: App, name: str, cut: Cut
):
    script = SCRIPTS[name]
    app.answer, app.cut = script.answer, cut
    # So that there is a kept connection, which may be stale, from the first on.
    await everything_still_works(world, app, script, "before")
    for at in bytes_of(script.answer):
        app.until_byte = at
        got = await ask(world, script, len(script.asked), cut)

        if at == len(script.answer) or cut == "pauses":
            assert got == script.expected, at
        else:
            assert isinstance(got, Broken) or got.status == 502, (at, got)
        await everything_still_works(world, app, script, at)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_h20_a_client_that_leaves_at_any_byte_of_its_answer(
    world: World, app: App, name: str
):
    script = SCRIPTS[name]
    app.answer, app.cut = script.answer, "pauses"
    for at in bytes_of(script.answer):
        app.until_byte = at
        app.said.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(script.asked)
        if b"Expect" in script.asked:
            await reader.readexactly(len(_CONTINUE))
        await app.said.wait()
        reset(writer)
        await everything_still_works(world, app, script, at)


# WebSockets.

_FRAME = b"\x81\x05hello"
_MASKED = b"\x81\x85\x00\x00\x00\x00hello"


@pytest.mark.parametrize("cut", CUTS)
async def test_w5_an_app_cut_off_or_held_up_at_any_byte_of_its_switch(
    world: World, app: App, cut: Cut
):
    app.answer, app.cut, app.switches = SWITCHED + _FRAME, cut, True
    for at in bytes_of(app.answer):
        app.until_byte = at
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(upgrade(world))
        if at < len(SWITCHED) and cut != "pauses":
            assert (await reader.read()).startswith(b"HTTP/1.1 502 "), at
        else:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 "), at
            if cut == "pauses":
                assert await reader.readexactly(len(_FRAME)) == _FRAME, at
                writer.write(_MASKED)
            else:
                with suppress(ConnectionError):
                    assert (await reader.read()) == _FRAME[: at - len(SWITCHED)], at
        writer.close()
        await everything_still_works_without_switching(world, app, at)


@pytest.mark.parametrize("cut", ["closes", "resets"])
async def test_w5_a_client_cut_off_at_any_byte_of_its_handshake_or_after(
    world: World, app: App, cut: Cut
):
    app.answer, app.switches = SWITCHED + _FRAME, True
    asked = upgrade(world) + _MASKED
    head = len(asked) - len(_MASKED)
    for at in (*range(0, head - 8, 11), *range(head - 8, len(asked) + 1)):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(asked[:at])
        if at >= head:
            await reader.readuntil(b"\r\n\r\n")
        if cut == "resets":
            reset(writer)
        else:
            writer.close()
        await everything_still_works_without_switching(world, app, at)


async def everything_still_works_without_switching(world: World, app: App, at: int) -> None:
    await nothing_is_left(world)
    assert len(world.observed.requests) <= 1, at
    app.switches = False
    assert (await world.send(get("/public/next"))).endswith(b"\r\n\r\nhello"), at
    await nothing_is_left(world)
    app.switches = True
    for idle in tuple(world.plane.upstreams["app"].targets[0].idle):
        idle.abort()
    await nothing_is_left(world)
    world.observed.requests.clear()
