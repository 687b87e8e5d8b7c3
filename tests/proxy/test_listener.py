"""What the listener sees out when the gateway stops, and what a route may change."""

import asyncio
import socket
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from gateway.policy.access import Access
from gateway.policy.routes import Route
from gateway.proxy.listener import Listener
from gateway.proxy.proxy_header import LOCAL_HEADER
from tests.fakes import OK
from tests.proxy.conftest import LOOPBACK, World, until
from tests.proxy.test_exchange import get, status

KEPT = get("/public/x", connection="keep-alive")


async def test_r7_a_drain_ends_requests_under_way_and_closes_idle_connections(world: World):
    idle = await world.connect()
    idle.send(KEPT)
    await idle.answer()
    world.upstream.answer = lambda _head: None
    busy = await world.connect()
    busy.send(KEPT)
    await world.upstream.until(lambda: len(world.upstream.heads) == 2)

    draining = asyncio.get_running_loop().create_task(world.listener.drain(5.0))
    assert await idle.rest() == b""
    world.upstream.write(OK)
    answer = await busy.rest()
    busy.close()
    idle.close()
    await draining

    assert status(answer) == 200
    assert b"\r\nConnection: close\r\n" in answer
    with pytest.raises(ConnectionRefusedError):
        await world.connect()


class Sought(socket.socket):
    """A listening socket to which somebody connects at the very moment of its end."""

    def close(self) -> None:
        if self.fileno() >= 0:
            with suppress(OSError):
                late = socket.create_connection(self.getsockname(), timeout=0.2)
                late.sendall(LOCAL_HEADER * self.with_header + get("/public/x"))
                self.late.append(late)
        super().close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what begins a connection")
@pytest.mark.parametrize("header", [False, True])
async def test_r7_nobody_who_is_connected_is_reset_however_late_they_came(world: World, header):
    Sought.late, Sought.with_header = [], header
    world.change(trusted_proxies=LOOPBACK)
    listener = Listener(world.plane, proxy_protocol=header)
    bound = Sought()
    bound.bind(("127.0.0.1", 0))
    await listener.listen_on(bound)
    where = bound.getsockname()

    await listener.drain(5.0)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=1.0)
    for late in Sought.late:
        with late:
            late.settimeout(1.0)
            assert status(late.recv(4096)) == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what begins a connection")
async def test_a_socket_that_somebody_else_kept_open_is_listened_on_again(world: World):
    """As the parent of the workers does while it replaces one that was told to end."""
    await world.listener.drain(0.0)
    bound = socket.create_server(("127.0.0.1", 0))
    for _ in range(2):
        world.listener = Listener(world.plane)
        await world.listener.listen_on(bound.dup())
        world.port = bound.getsockname()[1]
        assert status(await world.send(get("/public/x"))) == 200
        await world.listener.drain(1.0)
    bound.close()


async def test_r7_what_does_not_end_in_time_is_closed(world: World):
    world.upstream.answer = lambda _head: None
    client = await world.connect()
    client.send(KEPT)
    await world.upstream.until(lambda: bool(world.upstream.heads))

    await world.listener.drain(0.1)

    assert await client.rest() == b""
    await world.quiet()
    await world.upstream.until(lambda: world.upstream.open_connections == 0)


async def test_a_request_that_is_under_way_keeps_the_plane_that_it_began_on(world: World):
    world.upstream.answer = lambda _head: None
    client = await world.connect()
    client.send(KEPT)
    await world.upstream.until(lambda: bool(world.upstream.heads))
    old = world.plane.upstreams["app"]

    world.serve_from()
    old.close()
    world.upstream.write(OK)

    assert status(await client.answer()) == 200
    await until(lambda: old._open == 0)
    world.upstream.answer = lambda _head: OK
    client.send(KEPT)
    assert status(await client.answer()) == 200


@pytest.mark.parametrize(
    ("override", "request_", "expected"),
    [
        ({"upstream_head": 0.3}, KEPT, 504),
        ({"body_timeout": 0.3}, get("/public/x", "Content-Length: 5", method="POST") + b"x", 408),
        ({"body_limit": 3}, get("/public/x", "Content-Length: 5", method="POST"), 413),
    ],
)
async def test_a_route_may_have_limits_of_its_own(world: World, override, request_, expected):
    world.route(replace(Route("/*", "app", Access.PUBLIC), **override))
    world.upstream.answer = lambda _head: None
    client = await world.connect()

    client.send(request_)

    assert status(await client.head()) == expected


async def test_an_error_at_one_deadline_stops_no_other(world: World):
    class Broken:
        deadline = 0.0

        def expired(self) -> None:
            raise ZeroDivisionError

    world.plane.deadlines.watch(Broken())
    world.limit(head_timeout=0.3)

    assert await world.send(b"") == b""
    assert [type(report["exception"]) for report in world.reports] == [ZeroDivisionError]
    world.reports.clear()
