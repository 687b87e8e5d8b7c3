"""Cut off or held up before the first request: nothing is asked for, and nothing is left."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from gateway.proxy.balancing import Target
from tests.proxy.conftest import World, listening, trusting
from tests.proxy.cutting import (
    A_MOMENT,
    SIZED,
    App,
    nothing_is_left,
    port_by,
    sampled,
    strict_app,
)
from tests.proxy.links import OVER_TLS, PLAIN, Cut, Link, TlsLink, Way
from tests.proxy.test_arrival import V1, V2
from tests.proxy.test_exchange import get, status

# What a client says before it is answered, and after.
FLIGHTS = (0, 1)
CLOSE_NOTIFY = b"\x15\3\3\0\2\1\0"


@pytest.fixture
async def app(world: World, tls: ssl.SSLContext, caplog) -> AsyncIterator[App]:
    async with strict_app(world, tls) as app:
        yield app
    assert [record for record in caplog.records if record.exc_info] == []


async def begun(way: Way, port: int, flight: int) -> tuple[TlsLink, bytes]:
    """Return a connection before its client's *flight*, and what that is."""
    link = await way.dial(port)
    assert isinstance(link, TlsLink)
    said = link.next_flight()
    for _ in range(flight):
        link.send(said)
        said = b""
        while not said:
            await link.hear()
            said = link.next_flight()
    return link, said


async def places(way: Way, port: int, flight: int) -> list[int]:
    """Return where to cut: the first flight is long, and its middle is much of the same."""
    link, said = await begun(way, port, flight)
    link.close()
    length = len(said)
    if flight == 0:
        return [*range(12), *range(12, length - 12, 41), *range(length - 12, length)]
    return list(range(length))


@pytest.mark.parametrize("cut", ["closes", "ends", "resets", "pauses"])
@pytest.mark.parametrize("flight", FLIGHTS)
@pytest.mark.parametrize("way", OVER_TLS, ids=str)
@pytest.mark.usefixtures("app")
async def test_a_client_cut_off_or_held_up_anywhere_in_its_handshake(
    world: World, tls: ssl.SSLContext, way: Way, flight: int, cut: Cut
):
    port = await port_by(world, way, tls)
    for at in sampled(await places(way, port, flight)):
        link, said = await begun(way, port, flight)
        await interrupted(world, link, said, at, cut)


async def interrupted(world: World, link: Link, said: bytes, at: int, cut: Cut) -> None:
    """Send *said* up to *at*. After a pause the next request is answered, else there is none."""
    link.send(said[:at])
    await link.flush()
    # Whoever is slow has not said more meanwhile, and whoever leaves does so in the middle.
    await asyncio.sleep(A_MOMENT)
    if cut == "pauses":
        link.send(said[at:])
        await link.begin()
        link.send(link.wire(get("/public/next")))
        assert (await link.rest()).endswith(b"\r\n\r\nhello"), at
    else:
        await leave(link, cut)
    link.close()
    await nothing_is_left(world)
    assert len(world.observed.requests) == (cut == "pauses"), at
    world.observed.requests.clear()


async def leave(link: Link, cut: Cut) -> None:
    """Leave before there is a handshake to say so by."""
    if cut == "closes":
        link.send(CLOSE_NOTIFY)
    if cut == "resets":
        link.reset()
        return
    await link.leave("ends")
    await closed(link)


async def closed(link: Link) -> None:
    """Wait until the other side has closed, or reset, the connection."""
    with suppress(ConnectionError):
        # Sooner than a handshake may take: nobody waits for one who is gone.
        async with asyncio.timeout(5):
            while await link.reader.read(65536):
                pass


@pytest.mark.parametrize("flight", FLIGHTS)
@pytest.mark.parametrize("way", OVER_TLS, ids=str)
async def test_h16_a_client_that_stops_for_ever_anywhere_in_its_handshake_is_closed_in_time(
    world: World, tls: ssl.SSLContext, way: Way, flight: int
):
    world.limit(head_timeout=0.5)
    port = await port_by(world, way, tls)
    links = []
    for at in (await places(way, port, flight))[::3]:
        link, said = await begun(way, port, flight)
        link.send(said[:at])
        await link.flush()
        links.append(link)

    for link in links:
        await closed(link)
        link.close()
    await nothing_is_left(world)


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("cut", ["ends", "resets", "pauses"])
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("way", [PLAIN, OVER_TLS[-1]], ids=str)
async def test_a_proxy_cut_off_or_held_up_anywhere_in_its_header(
    world: World, tls: ssl.SSLContext, way: Way, header: bytes, cut: Cut
):
    await listening(world, tls=None if way is PLAIN else tls)
    for at in sampled(range(len(header) + 1)):
        link = await way.dial(world.port)
        await interrupted(world, link, header, at, cut)


# An https upstream.


@dataclass
class Shaking:
    """An app over TLS that says its first flight up to *at*, and is then cut off or held up."""

    context: ssl.SSLContext
    cut: Cut = "pauses"
    at: int = 0
    port: int = 0
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        link = TlsLink(reader, writer, self.context, server_side=True)
        with suppress(OSError, EOFError):
            said = b""
            while not said:
                await link.hear()
                said = link.next_flight()
            link.send(said[: self.at])
            await link.flush()
            await asyncio.sleep(A_MOMENT)
            if self.cut == "pauses":
                link.send(said[self.at :])
                await link.begin()
                await link.until(b"\r\n\r\n")
                link.send(link.wire(SIZED))
                await link.rest()
            elif self.cut == "stalls":
                await link.rest()
            else:
                await leave(link, self.cut)
        writer.close()


@pytest.mark.parametrize("cut", ["closes", "ends", "resets", "pauses"])
async def test_an_app_cut_off_or_held_up_anywhere_in_its_handshake(
    world: World, tls: ssl.SSLContext, caplog, cut: Cut
):
    app = Shaking(tls, cut)
    async with shaking(world, app):
        for at in sampled((*range(0, 600, 41), *range(-10, 0))):
            app.at = at
            answer = await world.send(get("/public/x"))

            assert status(answer) == (200 if cut == "pauses" else 502), at
            for idle in tuple(world.plane.upstreams["app"].targets[0].idle):
                idle.abort()
            await nothing_is_left(world)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_h16_an_app_that_stops_for_ever_anywhere_in_its_handshake_is_given_up_in_time(
    world: World, tls: ssl.SSLContext
):
    app = Shaking(tls, "stalls")
    async with shaking(world, app, connect_timeout=0.3):
        for app.at in (0, 5, -1):
            assert status(await world.send(get("/public/x"))) in {502, 504}
            await nothing_is_left(world)


@asynccontextmanager
async def shaking(world: World, app: Shaking, **limits: float) -> AsyncIterator[None]:
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]

    async def connect(factory) -> object:
        return await asyncio.get_running_loop().create_connection(
            factory, "127.0.0.1", app.port, ssl=trusting()
        )

    world.serve_from(Target("shaking", connect), **limits)
    yield
    for writer in app.open:
        writer.transport.abort()
    server.close()
