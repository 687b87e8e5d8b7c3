"""What is asked and answered where either side is cut off, and what holds whatever happens."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import h11
import uvloop

from gateway.proxy.balancing import Target
from gateway.proxy.plane import Renewed
from tests.proxy.conftest import World, trusting
from tests.proxy.links import END, PLAIN, Cut, Link, Place, Way
from tests.proxy.strict_client import Broken, Whole
from tests.proxy.test_exchange import get

Where = TypeVar("Where")
# Between two polls, and long enough for what was sent to be seen apart from what follows.
A_MOMENT = 0.0005
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


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
    def parts(self) -> tuple[bytes, ...]:
        """What is sent at once; the parts have 100 Continue between them."""
        if b"Expect" not in self.asked:
            return (self.asked,)
        head = self.asked.index(b"\r\n\r\n") + 4
        return self.asked[:head], self.asked[head:]

    def places(self, way: Way, cut: Cut) -> list[Place]:
        """Return where a client can be cut off that asks by *way*."""
        return list(way.places(sum(len(way.pieces(part)) for part in self.parts), cut))


SCRIPTS = {
    "a GET": Script(get("/public/cut"), SIZED),
    "a GET answered in chunks": Script(get("/public/cut"), CHUNKED),
    "a HEAD": Script(
        get("/public/cut", method="HEAD"), SIZED[:-5], "HEAD", expected=Whole(200, b"")
    ),
    "an answer after interim ones": Script(
        get("/public/cut"), b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CONTINUE + SIZED
    ),
    "a POST": Script(
        get("/public/cut", "Content-Length: 7", method="POST") + b"content",
        SIZED,
        "POST",
        b"content",
    ),
    "a POST in chunks both ways": Script(
        get("/public/cut", "Transfer-Encoding: chunked", method="POST")
        + b"3\r\ncon\r\n4;a=b\r\ntent\r\n0\r\nTrailer: x\r\n\r\n",
        CHUNKED,
        "POST",
        b"content",
    ),
    "a POST that waits for 100": Script(
        get("/public/cut", "Content-Length: 7", "Expect: 100-continue", method="POST") + b"content",
        SIZED,
        "POST",
        b"content",
        Whole(200, b"hello", (100,)),
    ),
    "a GET after a renewal": Script(get("/cut", "Cookie: refreshToken=old"), SIZED),
    "a POST after a renewal": Script(
        get("/cut", "Cookie: refreshToken=old", "Content-Length: 7", method="POST") + b"content",
        SIZED,
        "POST",
        b"content",
    ),
}


@dataclass
class App:
    """Reads requests as strictly as h11 does, and says its answer up to *place*."""

    context: ssl.SSLContext
    way: Way = PLAIN
    answer: bytes = b""
    place: Place | None = None
    cut: Cut = "closes"
    switches: bool = False
    # Whether its answer has no other end than its own.
    until_close: bool = False
    port: int = 0
    whole: Counter[bytes] = field(default_factory=Counter)
    bodies: set[bytes] = field(default_factory=set)
    said: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            link = self.way.accept(reader, writer, self.context)
            await link.begin()
            while await self._answer_one(link):
                await link.flush()
        except (OSError, EOFError, h11.RemoteProtocolError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer_one(self, link: Link) -> bool:
        if self.switches:
            await link.until(b"\r\n\r\n")
            if await self._say(link):
                # It goes when the client does.
                await link.rest()
            return False
        parser, body, target = h11.Connection(h11.SERVER), b"", b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await link.read()
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
            link.send(link.wire(SIZED))
            return True
        self.bodies.add(body)
        return await self._say(link)

    async def _say(self, link: Link) -> bool:
        pieces = self.way.pieces(self.answer)
        for number, piece in enumerate([*pieces, END]):
            if self.place is not None and number == self.place.pieces:
                self.said.set()
                if not await cut_off(link, piece, self.place.inside, self.cut):
                    return False
            elif piece != END:
                link.send(link.wire(piece))
        if self.until_close:
            await link.leave("closes")
        return not self.until_close


async def cut_off(link: Link, piece: bytes, inside: int, cut: Cut) -> bool:
    """Send of *piece* what is *inside*, and then be cut off; True where it was but a pause."""
    # What is encrypted has to be sent: the next record would be none otherwise.
    goes_on = cut == "pauses" and piece != END
    wire = link.wire(piece) if inside or goes_on else b""
    link.send(wire[:inside])
    await link.flush()
    await asyncio.sleep(A_MOMENT)
    if cut == "pauses":
        link.send(wire[inside:])
        return True
    await link.leave(cut)
    return False


@asynccontextmanager
async def strict_app(world: World, tls: ssl.SSLContext) -> AsyncIterator[App]:
    """Serve from such an app; over TLS it shows what *tls* does."""
    app = App(tls)
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]

    async def connect(factory) -> object:
        over_tls = None if app.way is PLAIN else trusting()
        return await asyncio.get_running_loop().create_connection(
            factory, "127.0.0.1", app.port, ssl=over_tls
        )

    world.serve_from(Target("strict", connect))
    world.renewal = Renewed(world.token(), ("accessToken=new", "refreshToken=new"), "ok")
    yield app
    for writer in tuple(app.open):
        writer.transport.abort()
    server.close()


# The client.


async def port_by(world: World, way: Way, tls: ssl.SSLContext) -> int:
    """Return where the gateway is to be reached by *way*."""
    return world.port if way is PLAIN else await world.listener.listen_tcp("127.0.0.1", 0, tls)


def sampled(places: Iterable[Where]) -> list[Where]:
    """Return where to cut: anywhere on the loop that serves, here and there on the other."""
    everywhere = list(places)
    if isinstance(asyncio.get_running_loop(), uvloop.Loop):
        return everywhere
    return [*everywhere[:-1:4], everywhere[-1]]


async def ask(
    port: int, script: Script, way: Way = PLAIN, place: Place | None = None, cut: Cut = "closes"
) -> Whole | Broken:
    """Ask as *script* has it; up to *place*, and then be cut off or held up."""
    link = await way.dial(port)
    try:
        async with asyncio.timeout(10):
            await link.begin()
            came = await _say_all(link, script, way, place, cut)
            if cut == "resets" and place is not None:
                return Broken("the client left")
            return understood(came + await link.rest(), script.method)
    except TimeoutError:
        raise
    except (OSError, EOFError) as error:
        return Broken(repr(error))
    finally:
        link.close()


async def _say_all(link: Link, script: Script, way: Way, place: Place | None, cut: Cut) -> bytes:
    """Return what has come between the parts."""
    came = b""
    first, *others = map(way.pieces, script.parts)
    pieces = [*first, *(piece for part in others for piece in part), END]
    for number, piece in enumerate(pieces):
        if others and number == len(first):
            came = await link.exactly(len(CONTINUE))
        if place is not None and number == place.pieces:
            if not await cut_off(link, piece, place.inside, cut):
                break
        elif piece != END:
            link.send(link.wire(piece))
    return came


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
            and not world.listener._counts._by_name
            and not pool._detached
            and target.tunnels == target.busy == 0
            and pool._open == target.open == len(target.idle) == len(pool._target_of)
            and plane.deadlines._timed == set(target.idle)
            and all(idle.usable and idle.exchange is None for idle in target.idle)
        ):
            await asyncio.sleep(A_MOMENT)


async def everything_still_works(world: World, app: App, script: Script, name: object) -> None:
    """Check what holds after any cut, and that a fresh request is none the wiser."""
    await nothing_is_left(world)
    assert app.bodies <= {script.body}, name
    nothing_said = app.place is not None and app.place.pieces == 0
    most = 2 if nothing_said and script.method != "POST" else 1
    assert app.whole[b"/cut"] + app.whole[b"/public/cut"] <= most, name
    assert len(world.observed.requests) <= 1, name
    answer = await world.send(get("/public/next"))
    assert answer.endswith(b"\r\n\r\nhello"), name
    await nothing_is_left(world)
    app.whole.clear()
    app.bodies.clear()
    world.observed.requests.clear()
