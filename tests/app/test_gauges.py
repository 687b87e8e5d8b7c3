"""What the metrics say is open at this moment."""

import asyncio

from gateway.app.gateway import Gateway
from tests.app.conftest import Browser, Site

HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"


def tunnels(gateway: Gateway) -> float:
    (line,) = [
        line
        for line in gateway.operating.own_metrics().splitlines()
        if line.startswith("gateway_tunnels ")
    ]
    return float(line.split(" ")[1])


async def test_a_websocket_is_counted_as_long_as_it_is_open_whoever_opened_it(site: Site):
    site.upstream.answer = lambda _head: SWITCHED
    async with site.running() as gateway:
        somebody = await Browser.open(gateway.port)
        assert (await somebody.ask("/open/socket", *HANDSHAKE)).status == 101
        assert tunnels(gateway) == 1

        alice = await Browser.open(gateway.port)
        await alice.sign_in()
        assert (await alice.ask("/socket", "Origin: http://localhost", *HANDSHAKE)).status == 101
        assert tunnels(gateway) == 2

        somebody.close()
        alice.close()
        async with asyncio.timeout(10):
            while tunnels(gateway):
                await asyncio.sleep(0.01)


async def test_an_event_stream_is_no_tunnel(site: Site):
    site.upstream.answer = lambda _head: EVENTS
    async with site.running() as gateway:
        alice = await Browser.open(gateway.port)
        await alice.sign_in()
        alice.begin("/events")
        async with asyncio.timeout(5):
            await alice.reader.readuntil(b"data: 1\n\n")

        assert tunnels(gateway) == 0
        alice.close()
