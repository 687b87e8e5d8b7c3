"""Either side cut off or held up anywhere in an exchange, with TLS or without: nothing looks whole
that is not, no request arrives twice, and nothing is left behind (H3, H15, H16, H19, H20).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.proxy.conftest import World
from tests.proxy.cutting import (
    CONTINUE,
    SCRIPTS,
    App,
    Script,
    ask,
    everything_still_works,
    nothing_is_left,
    port_by,
    sampled,
    strict_app,
)
from tests.proxy.links import OVER_TLS, PLAIN, WAYS, Cut, Place, Way
from tests.proxy.strict_client import Broken, Whole
from tests.proxy.test_exchange import get

# Those that differ in how they are read; what differs in the answer alone is cut without TLS.
OVER_TLS_TOO = ("a GET", "a POST in chunks both ways", "a POST that waits for 100")
SCRIPTS_BY_WAY = [
    *((PLAIN, name) for name in SCRIPTS),
    *((way, name) for way in OVER_TLS for name in OVER_TLS_TOO),
]


CASES = [
    pytest.param(way, name, cut, id=f"{way}-{name}-{cut}")
    for way, name in SCRIPTS_BY_WAY
    for cut in way.cuts
]


@pytest.fixture
async def app(world: World, tls: ssl.SSLContext, caplog) -> AsyncIterator[App]:
    async with strict_app(world, tls) as app:
        yield app
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(("way", "name", "cut"), CASES)
async def test_a_client_cut_off_or_held_up_anywhere_in_its_request(
    world: World, app: App, tls: ssl.SSLContext, way: Way, name: str, cut: Cut
):
    script = SCRIPTS[name]
    app.answer = script.answer
    port = await port_by(world, way, tls)
    *_, last = places = script.places(way, cut)
    for place in sampled(places):
        got = await ask(port, script, way, place, cut)

        asked = place.pieces == last.pieces
        if cut == "pauses" or (asked and cut == "closes" and not place.inside):
            assert got == script.expected, place
        elif asked:
            # Cut off behind the request, it has its answer by then or never: it is gone.
            assert isinstance(got, Broken) or got == script.expected, (place, got)
        else:
            assert isinstance(got, Broken) or got.status == 400, (place, got)
            await nothing_is_left(world)
            assert not app.whole, place
        await everything_still_works(world, app, script, place)


@pytest.mark.parametrize("name", ["a GET", "a POST that waits for 100"])
@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_h16_a_client_that_stops_for_ever_anywhere_in_its_request_is_closed_in_time(
    world: World, app: App, tls: ssl.SSLContext, way: Way, name: str
):
    world.limit(head_timeout=0.3, body_timeout=0.3, idle_timeout=0.3)
    script = SCRIPTS[name]
    port = await port_by(world, way, tls)
    *_, last = places = script.places(way, "stalls")
    unfinished = [place for place in places if place.pieces < last.pieces]

    gots = await asyncio.gather(*(ask(port, script, way, place, "stalls") for place in unfinished))

    for place, got in zip(unfinished, gots, strict=True):
        assert isinstance(got, Broken) or got.status == 408, (place, got)
    await nothing_is_left(world)
    assert not app.whole


@pytest.mark.parametrize(("way", "name", "cut"), CASES)
async def test_h3_h15_an_app_cut_off_or_held_up_anywhere_in_its_answer(
    world: World, app: App, way: Way, name: str, cut: Cut
):
    script = SCRIPTS[name]
    app.way, app.answer, app.cut = way, script.answer, cut
    # So that there is a kept connection, which may be stale, from the first on.
    await everything_still_works(world, app, script, "before")
    *_, last = places = list(way.places(len(way.pieces(script.answer)), cut))
    for place in sampled(places):
        app.place = place
        got = await ask(world.port, script)

        if place.pieces == last.pieces or cut == "pauses":
            assert got == script.expected, place
        else:
            assert isinstance(got, Broken) or got.status == 502, (place, got)
        await everything_still_works(world, app, script, place)


@pytest.mark.parametrize("cut", ["closes", "ends", "resets", "pauses"])
@pytest.mark.parametrize("way", OVER_TLS, ids=str)
async def test_h3_an_answer_that_ends_with_its_connection_is_whole_if_tls_has_said_so(
    world: World, app: App, way: Way, cut: Cut
):
    """Whoever is on the way can cut it off anywhere, but cannot say that it ends there."""
    script = Script(get("/public/cut"), b"HTTP/1.1 200 OK\r\n\r\nhello")
    app.way, app.answer, app.cut, app.until_close = way, script.answer, cut, True
    *_, last = places = list(way.places(len(way.pieces(script.answer)), cut))
    for place in sampled(places):
        app.place = place
        got = await ask(world.port, script)

        if cut == "pauses" or (cut == "closes" and place == Place(last.pieces)):
            assert got == script.expected, place
        elif cut == "closes" and not place.inside:
            said = b"".join(way.pieces(script.answer)[: place.pieces])
            assert got == Whole(200, said.partition(b"\r\n\r\n")[2]) or got.status == 502, place
        else:
            assert isinstance(got, Broken) or got.status == 502, (place, got)
        await everything_still_works(world, app, script, place)


@pytest.mark.parametrize(("way", "name"), SCRIPTS_BY_WAY, ids=str)
async def test_h20_a_client_that_leaves_anywhere_in_its_answer(
    world: World, app: App, tls: ssl.SSLContext, way: Way, name: str
):
    script = SCRIPTS[name]
    app.answer, app.cut = script.answer, "pauses"
    port = await port_by(world, way, tls)
    for place in sampled(PLAIN.places(len(script.answer), "resets"))[:: 1 if way is PLAIN else 3]:
        app.place = place
        app.said.clear()
        link = await way.dial(port)
        await link.begin()
        for number, part in enumerate(script.parts):
            if number:
                await link.exactly(len(CONTINUE))
            link.send(link.wire(part))
        await link.flush()
        await app.said.wait()
        link.reset()
        await everything_still_works(world, app, script, place)
