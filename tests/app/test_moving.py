"""Where a name leads elsewhere, requests go there, also those that kept connections would carry."""

import asyncio

import pytest

from gateway.app.names import Names
from tests.app.conftest import Browser
from tests.app.test_names import NameServer
from tests.fakes import RecordingUpstream


@pytest.fixture
def server(monkeypatch):
    """Answers all questions for names, which are asked in quick succession."""
    server = NameServer()
    monkeypatch.setattr("gateway.app.foundation.Names", lambda: Names(server))
    monkeypatch.setattr("gateway.app.names.FRESH_SECONDS", 0.02)
    monkeypatch.setattr("gateway.app.moving.LOOK_SECONDS", 0.02)
    return server


async def test_kept_connections_to_an_address_that_is_no_longer_the_names_are_given_up(
    site, server
):
    port = site.upstream.port
    elsewhere = RecordingUpstream()
    listening = await asyncio.start_server(elsewhere._serve, "127.0.0.2", port)
    server.known["app.test"] = ["127.0.0.1"]
    site.write(upstreams={"app": f"http://app.test:{port}"})
    async with site.running() as gateway:
        browser = await Browser.open(gateway.port)
        assert (await browser.ask("/open/before")).status == 200

        del server.known["app.test"]
        asked = server.asked["app.test"]
        while server.asked["app.test"] < asked + 3:
            await asyncio.sleep(0.01)
        assert (await browser.ask("/open/meanwhile")).status == 200
        assert len(site.upstream.received) == 1, "who cannot be asked has not said that it moved"

        server.known["app.test"] = ["127.0.0.2"]
        await site.upstream.until(lambda: site.upstream.open_connections == 0)
        assert (await browser.ask("/open/after")).status == 200
        assert b"/open/after" in elsewhere.heads[0]
        browser.close()
    await elsewhere.stop()
    listening.close()
    await listening.wait_closed()
