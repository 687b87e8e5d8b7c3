"""Connections to an upstream: kept, spread, queued for, and never one target's fault on another."""

import asyncio
import socket

import pytest

from gateway.proxy.balancing import EJECT_AFTER, Target
from gateway.proxy.health import Check, watch_health
from gateway.proxy.pool import Pool
from tests.fakes import OK, RecordingUpstream
from tests.proxy.conftest import Client, World, connecting_to, until
from tests.proxy.test_exchange import get, status

POST = get("/public/x", "Content-Length: 1", method="POST") + b"x"


@pytest.fixture
async def second():
    upstream = RecordingUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


def targets(*upstreams: RecordingUpstream) -> list[Target]:
    return [
        Target(f"target-{number}", connecting_to(upstream))
        for number, upstream in enumerate(upstreams)
    ]


async def refusing(_factory) -> object:
    raise ConnectionRefusedError("nobody is there")


async def blackhole(_factory) -> object:
    await asyncio.Event().wait()


async def test_round_robin_gives_every_target_its_turn(world: World, second):
    world.serve_from(*targets(world.upstream, second))

    for _ in range(6):
        assert status(await world.send(get("/public/x"))) == 200

    assert len(world.upstream.heads) == len(second.heads) == 3


async def test_least_connections_spares_the_busy_target(world: World, second):
    busy, idle = sorted((world.upstream, second), key=lambda each: each is second)
    world.serve_from(*targets(busy, idle), balance="least-connections")
    busy.answer = lambda _head: None
    waiting = await world.connect()
    waiting.send(get("/public/slow"))
    await busy.until(lambda: bool(busy.heads))

    for _ in range(3):
        assert status(await world.send(get("/public/x"))) == 200

    assert len(idle.heads) == 3


@pytest.mark.parametrize("dead", [refusing, blackhole])
@pytest.mark.parametrize("request_", [get("/public/x"), POST], ids=["GET", "POST"])
async def test_r8_nobody_notices_a_dead_target_beside_a_live_one(world: World, dead, request_):
    pool = world.serve_from(Target("dead", dead), *targets(world.upstream), connect_timeout=0.2)

    for _ in range(8):
        assert status(await world.send(request_)) == 200

    assert len(world.upstream.heads) == 8
    assert pool.targets[0].ejected_until > pool.deadlines.now
    assert pool._open == len(pool.targets[1].idle)


async def test_an_ejected_target_comes_back(world: World, second):
    pool = world.serve_from(*targets(world.upstream, second))
    pool.targets[1].failures = EJECT_AFTER
    pool.targets[1].ejected_until = pool.deadlines.now + 0.5
    for _ in range(2):
        await world.send(get("/public/x"))
    assert second.heads == []

    await until(lambda: pool.targets[1].ejected_until <= pool.deadlines.now)
    for _ in range(2):
        await world.send(get("/public/x"))

    assert len(second.heads) == 1


async def test_a_target_that_accepts_and_hangs_up_is_ejected_too(world: World, second):
    pool = world.serve_from(*targets(second, world.upstream))
    second.answer = lambda _head: b""
    second.close_after_answer = True

    told = [status(await world.send(get("/public/x"))) for _ in range(8)]

    assert told.count(502) == 3
    assert pool.targets[0].ejected_until > pool.deadlines.now


@pytest.mark.parametrize(
    ("connect", "expected", "kind"),
    [(refusing, 502, "connect"), (blackhole, 504, "connect-timeout")],
)
async def test_r8_an_upstream_that_cannot_be_reached_has_a_word_for_it(
    world: World, connect, expected, kind
):
    pool = world.serve_from(Target("only", connect), connect_timeout=0.2)

    assert status(await world.send(get("/public/x"))) == expected
    assert world.observed.failures == [("app", kind)]
    assert pool._open == 0


async def test_whatever_goes_wrong_while_dialling_the_client_gets_an_answer(world: World):
    async def impossible(_factory) -> object:
        raise UnicodeError("label too long")

    pool = world.serve_from(Target("odd", impossible))

    assert status(await world.send(get("/public/x"))) == 502
    assert pool._open == 0
    assert [type(report["exception"]) for report in world.reports] == [UnicodeError]
    world.reports.clear()


async def test_a_connection_that_dies_while_it_is_opened_is_no_hang(world: World):
    async def stillborn(factory) -> object:
        made = await connecting_to(world.upstream)(factory)
        made[0].abort()
        await until(made[0].is_closing)
        await asyncio.sleep(0.05)
        return made

    world.serve_from(Target("stillborn", stillborn))

    assert status(await world.send(get("/public/x"))) == 502


async def test_a_full_queue_and_a_queue_that_does_not_move_are_a_503(world: World):
    world.serve_from(connections=1, queue=1, connect_timeout=0.5)
    world.upstream.answer = lambda _head: None
    first, queued = await world.connect(), await world.connect()
    first.send(get("/public/first"))
    await world.upstream.until(lambda: bool(world.upstream.heads))
    queued.send(get("/public/queued"))
    await until(lambda: len(world.plane.upstreams["app"]._queue) == 1)

    over = await world.send(get("/public/over"))
    late = await queued.rest()

    for answer in (over, late):
        assert status(answer) == 503
        assert b"\r\nRetry-After: " in answer
    assert world.observed.failures == [("app", "busy")] * 2
    world.upstream.write(OK)
    assert status(await first.rest()) == 200


@pytest.mark.usefixtures("often")
async def test_the_queue_is_served_in_turn_and_a_client_that_left_is_not(world: World):
    pool = world.serve_from(connections=1, queue=8, connect_timeout=5)
    world.upstream.answer = lambda head: None if b"/hold " in head else OK
    first = await world.connect()
    first.send(get("/public/hold"))
    await world.upstream.until(lambda: bool(world.upstream.heads))
    clients = [await world.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(get(f"/public/{number}"))
        await until(lambda number=number: len(pool._queue) == number + 1)
    clients[1].writer.transport.abort()
    await until(lambda: len(pool._queue) == 2)

    world.upstream.write(OK)

    assert status(await first.rest()) == status(await clients[0].rest()) == 200
    assert status(await clients[2].rest()) == 200
    assert [head.split()[1] for head in world.upstream.heads] == [
        b"/public/hold",
        b"/public/0",
        b"/public/2",
    ]


async def one_held_and_one_waiting(world: World) -> tuple[Pool, Client, Client]:
    """Two clients at a pool of one connection, on which the app holds back the first answer."""
    pool = world.serve_from(connections=1)
    world.upstream.answer = lambda head: None if b"/hold " in head else OK
    first, second = await world.connect(), await world.connect()
    first.send(get("/public/hold"))
    await world.upstream.until(lambda: bool(world.upstream.heads))
    second.send(get("/public/x"))
    await until(lambda: len(pool._queue) == 1)
    return pool, first, second


async def test_a_pool_that_closes_still_serves_those_who_wait(world: World):
    pool, first, second = await one_held_and_one_waiting(world)

    pool.close()
    world.upstream.write(OK)

    assert status(await first.rest()) == status(await second.rest()) == 200
    await until(lambda: pool._open == 0)


async def test_the_connection_used_last_is_used_first(world: World):
    world.upstream.answer = lambda _head: None
    clients = [await world.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(get("/public/x", connection="keep-alive"))
        await world.upstream.until(lambda number=number: len(world.upstream.heads) > number)
    for number, client in enumerate(clients):
        world.upstream.write(OK, number)
        await client.answer()
    world.upstream.answer = lambda _head: OK

    for _ in range(5):
        await world.send(get("/public/again"))

    assert [received.count(b"/again") for received in world.upstream.received] == [0, 0, 5]


async def test_h19_nothing_of_one_user_clings_to_the_connection_of_another(world: World):
    for subject in ("alice", "bob", None):
        lines = (f"Cookie: a={subject}; accessToken={world.token(subject)}",) if subject else ()
        await world.send(get("/optional/x", *lines))

    assert len(world.upstream.received) == 1
    alice, bob, nobody = world.upstream.heads
    assert b"X-Forwarded-User: alice\r\n" in alice
    assert b"X-Forwarded-User: bob\r\n" in bob
    assert b"alice" not in bob
    assert b"X-Forwarded-User" not in nobody
    assert b"Cookie" not in nobody


async def test_a_sick_target_is_spared_until_it_is_well(world: World, second):
    pool = world.serve_from(*targets(world.upstream, second))
    second.answer = lambda head: (
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if b"/health " in head else OK
    )
    watching = world.tasks.spawn("health", watch_health(pool, Check("/health", 0.02)))
    pool.keep(watching)

    await until(lambda: not pool.targets[1].healthy)
    assert pool.targets[0].healthy
    for _ in range(3):
        assert status(await world.send(get("/public/x"))) == 200
    assert not any(b"/public" in head for head in second.heads)
    second.answer = lambda _head: OK
    await until(lambda: pool.targets[1].healthy)


async def test_a_backlog_that_is_full_is_a_504(world: World):
    """A real one: the kernel answers no more handshakes."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)

    async def connect(factory) -> object:
        return await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)

    world.serve_from(Target("full", connect), connect_timeout=0.3)

    assert status(await world.send(get("/public/x"))) == 504
    for filler in (*fillers, full):
        filler.close()


async def test_a_connection_is_not_kept_for_ever_however_busy(world: World, monkeypatch):
    monkeypatch.setattr("gateway.proxy.pool.KEEP_SECONDS", 0.0)
    pool, first, second = await one_held_and_one_waiting(world)

    world.upstream.write(OK)

    assert status(await first.rest()) == status(await second.rest()) == 200
    assert len(world.upstream.received) == 2
    await until(lambda: pool._open == 0)


async def test_a_target_that_moved_keeps_no_connection_to_where_it_was(world: World):
    pool = world.serve_from()
    world.upstream.answer = lambda head: None if b"/hold " in head else OK
    client = await world.connect()
    client.send(get("/public/hold"))
    await world.upstream.until(lambda: bool(world.upstream.heads))
    await world.send(get("/public/x"))
    await until(lambda: len(pool.targets[0].idle) == 1)

    pool.moved(pool.targets[0], {"127.0.0.1", "127.0.0.2"})
    assert len(pool.targets[0].idle) == 1

    pool.moved(pool.targets[0], {"127.0.0.2"})
    await until(lambda: pool._open == 1)
    world.upstream.write(OK, 0)

    assert status(await client.rest()) == 200
    await until(lambda: pool._open == 0)
