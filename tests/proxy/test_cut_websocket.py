"""A WebSocket cut off anywhere in its handshake or after it, with TLS or without (W5)."""

import ssl
from collections.abc import AsyncIterator

import pytest

from tests.proxy.conftest import World
from tests.proxy.cutting import App, nothing_is_left, port_by, sampled, strict_app
from tests.proxy.links import END, WAYS, Cut, Place, Way
from tests.proxy.test_exchange import get, status
from tests.proxy.test_tunnel import SWITCHED, upgrade

_FRAME = b"\x81\x05hello"
_MASKED = b"\x81\x85\x00\x00\x00\x00hello"


def cases(*without: Cut) -> list:
    return [
        pytest.param(way, cut, id=f"{way}-{cut}")
        for way in WAYS
        for cut in way.cuts
        if cut not in without
    ]


@pytest.fixture
async def app(world: World, tls: ssl.SSLContext, caplog) -> AsyncIterator[App]:
    async with strict_app(world, tls) as app:
        app.answer, app.switches = SWITCHED + _FRAME, True
        yield app
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(("way", "cut"), cases())
async def test_w5_an_app_cut_off_or_held_up_anywhere_in_its_switch(
    world: World, app: App, way: Way, cut: Cut
):
    app.way, app.cut = way, cut
    pieces = way.pieces(app.answer)
    for place in sampled(way.places(len(pieces), cut)):
        app.place = place
        said = b"".join(pieces[: place.pieces])
        client = await world.connect()
        client.send(upgrade(world))
        if len(said) < len(SWITCHED) and cut != "pauses":
            assert status(await client.rest()) == 502, place
        else:
            assert status(await client.head()) == 101, place
            if cut == "pauses":
                assert await client.read(len(_FRAME)) == _FRAME, place
                client.send(_MASKED)
            elif cut != "resets":
                assert await client.rest() == said[len(SWITCHED) :], place
        client.close()
        await everything_still_works_without_switching(world, app, place)


@pytest.mark.parametrize(("way", "cut"), cases("pauses"))
async def test_w5_a_client_cut_off_anywhere_in_its_handshake_or_after(
    world: World, app: App, tls: ssl.SSLContext, way: Way, cut: Cut
):
    port = await port_by(world, way, tls)
    asked = upgrade(world)
    head, pieces = len(way.pieces(asked)), way.pieces(asked) + way.pieces(_MASKED)
    places = list(way.places(len(pieces), cut))
    for place in (*places[:-20:11], *sampled(places[-20:])):
        link = await way.dial(port)
        await link.begin()
        for piece in pieces[: place.pieces]:
            link.send(link.wire(piece))
        if place.pieces >= head:
            await link.until(b"\r\n\r\n")
        if place.inside:
            link.send(link.wire([*pieces, END][place.pieces])[: place.inside])
        await link.leave(cut)
        link.close()
        await everything_still_works_without_switching(world, app, place)


async def everything_still_works_without_switching(world: World, app: App, place: Place) -> None:
    await nothing_is_left(world)
    assert len(world.observed.requests) <= 1, place
    app.switches = False
    assert (await world.send(get("/public/next"))).endswith(b"\r\n\r\nhello"), place
    await nothing_is_left(world)
    app.switches = True
    for idle in tuple(world.plane.upstreams["app"].targets[0].idle):
        idle.abort()
    await nothing_is_left(world)
    world.observed.requests.clear()
