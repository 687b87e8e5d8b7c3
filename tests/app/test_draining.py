"""The end: not ready first, then nobody new, and an answer for everybody who asked in time."""

import asyncio
import socket
import ssl

import pytest

from tests.app.conftest import Browser, Site
from tests.certificates import make_pair, written
from tests.fakes import OK


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    return False


async def test_while_not_ready_it_serves_on_and_sends_everybody_elsewhere(site: Site):
    site.write(limits={"drain_delay": "60s", "drain": "5s"})
    async with site.running() as gateway:
        kept = await Browser.open(gateway.port)
        assert "Connection: close" not in (await kept.ask("/open/x")).head
        draining = asyncio.ensure_future(gateway.drain())
        await asyncio.sleep(0)

        assert await gateway.operating.unready() == "draining"
        for browser in (kept, await Browser.open(gateway.port)):
            answer = await browser.ask("/open/x")
            assert answer.status == 200
            assert "\r\nConnection: close\r\n" in answer.head
            browser.close()
        assert not draining.done()

        # Who asks twice does not wait for load balancers either.
        await gateway.cut_off()
        await draining
        assert await refused(gateway.port)


async def test_after_the_delay_nobody_new_is_taken(site: Site):
    site.write(limits={"drain_delay": "300ms", "drain": "5s"})
    async with site.running() as gateway:
        site.upstream.answer = lambda _head: None
        slow = await Browser.open(gateway.port)
        slow.begin("/open/slow")
        await site.upstream.until(lambda: bool(site.upstream.heads))
        draining = asyncio.ensure_future(gateway.drain())
        async with asyncio.timeout(5):
            while not await refused(gateway.port):
                await asyncio.sleep(0.01)

        site.upstream.write(OK)

        assert (await slow.answer()).status == 200
        slow.close()
        await draining


@pytest.mark.parametrize("had_one", [True, False], ids=["kept", "new"])
async def test_a_request_that_was_on_its_way_is_answered_and_the_idle_are_closed(
    site: Site, had_one
):
    async with site.running() as gateway:
        asking, idle = await Browser.open(gateway.port), await Browser.open(gateway.port)
        for browser in (asking, idle) if had_one else ():
            await browser.ask("/open/x")
        draining = asyncio.ensure_future(gateway.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        asking.begin("/open/last")

        answer = await asking.answer()

        assert answer.status == 200
        assert "\r\nConnection: close\r\n" in answer.head
        assert await idle.gone()
        for browser in (asking, idle):
            browser.close()
        await draining


async def test_a_client_that_has_its_answer_and_stays_holds_nobody_up(site: Site):
    """Its last acknowledgement comes late, as on any connection that is kept."""
    site.write(limits={"drain": "60s"})
    async with site.running() as gateway:
        browser = await Browser.open(gateway.port)
        await browser.ask("/open/x")
        draining = asyncio.ensure_future(gateway.drain())
        await asyncio.sleep(0)
        assert (await browser.ask("/open/last")).status == 200

        async with asyncio.timeout(20):
            await draining

        browser.close()


async def test_who_was_not_told_that_an_answer_is_the_last_may_ask_once_more(site: Site):
    async with site.running() as gateway:
        browser = await Browser.open(gateway.port)
        site.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"
        browser.begin("/open/x")
        head = await browser.reader.readuntil(b"ha")
        assert b"Connection: close" not in head
        draining = asyncio.ensure_future(gateway.drain())
        await asyncio.sleep(0)
        site.upstream.answer = lambda _head: OK
        site.upstream.write(b"lf")
        assert await browser.reader.readexactly(2) == b"lf"

        answer = await browser.ask("/open/once-more")

        assert answer.status == 200
        assert "\r\nConnection: close\r\n" in answer.head
        browser.close()
        await draining


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_is_connected_but_not_accepted_yet_is_answered(site: Site, scheme):
    """What the kernel has accepted for us would be reset by closing."""
    tls = {}
    if scheme == "https":
        written(site.folder, *make_pair("site"))
        site.write(tls={"certificate": "tls.crt", "key": "tls.key"}, public_url="https://localhost")
        trusting = ssl.create_default_context(cafile=str(site.folder / "tls.crt"))
        tls = {"ssl": trusting, "server_hostname": "localhost"}
    async with site.running() as gateway:
        # The event loop does not run between here and the beginning of the end.
        waiting = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", gateway.port))
            connection.setblocking(False)
            waiting.append(connection)

        draining = asyncio.ensure_future(gateway.drain())

        for connection in waiting:
            reader, writer = await asyncio.open_connection(sock=connection, **tls)
            writer.write(b"GET /open/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        await draining
