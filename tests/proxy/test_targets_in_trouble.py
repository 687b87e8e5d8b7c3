"""Several targets, some of them in trouble: what the others, and clients, notice of it (H15)."""

import asyncio
import errno
from contextlib import AsyncExitStack

import pytest

from gateway.proxy.balancing import EJECT_AFTER, Target
from gateway.proxy.health import Check, watch_health
from gateway.proxy.pool import Pool
from tests.fakes import OK, RecordingUpstream
from tests.proxy.conftest import World, connecting_to, until
from tests.proxy.test_exchange import get, status

POST = get("/public/x", "Content-Length: 1", method="POST") + b"x"
PUT = get("/public/x", "Content-Length: 1", method="PUT") + b"x"


@pytest.fixture
async def others():
    """Start more upstreams."""
    async with AsyncExitStack() as stack:

        async def start() -> RecordingUpstream:
            upstream = RecordingUpstream()
            await upstream.start()
            stack.push_async_callback(upstream.stop)
            return upstream

        yield start


def target(upstream: RecordingUpstream, name="app") -> Target:
    return Target(name, connecting_to(upstream))


async def refusing(_factory) -> object:
    raise ConnectionRefusedError("nobody is there")


async def blackhole(_factory) -> object:
    await asyncio.Event().wait()


def close_kept_connections(upstream: RecordingUpstream) -> None:
    """Close the next time that something comes, as an app does whose keep-alive time is over."""
    upstream.answer = lambda _head: b""
    upstream.close_after_answer = True


@pytest.mark.parametrize("balance", ["round-robin", "least-connections"])
async def test_targets_share_a_crowd_evenly(world: World, others, balance):
    upstreams = [world.upstream, await others(), await others()]
    world.serve_from(*map(target, upstreams), balance=balance)

    async def ask_often() -> None:
        client = await world.connect()
        for _ in range(30):
            client.send(get("/public/x", connection="keep-alive"))
            assert status(await client.answer()) == 200

    await asyncio.gather(*(ask_often() for _ in range(10)))

    shares = [len(upstream.heads) for upstream in upstreams]
    assert sum(shares) == 300
    assert min(shares) >= 70


async def test_a_target_that_hangs_on_kept_connections_is_ejected(world: World, others):
    """Each of them has served before: that is no reason to forget that it fails now."""
    hanging = await others()
    pool = world.serve_from(target(hanging), target(world.upstream))
    world.limit(upstream_head=0.3)
    clients = [await world.connect() for _ in range(2 * EJECT_AFTER)]
    hanging.answer = world.upstream.answer = lambda _head: None
    for client in clients:
        client.send(get("/public/x", connection="keep-alive"))
    await hanging.until(lambda: len(hanging.heads) == EJECT_AFTER)
    await world.upstream.until(lambda: len(world.upstream.heads) == EJECT_AFTER)
    for number in range(EJECT_AFTER):
        hanging.write(OK, number)
        world.upstream.write(OK, number)
    for client in clients:
        await client.answer()
    world.upstream.answer = lambda _head: OK

    # One after the other: each failure is whole before the next one begins.
    told = [status(await world.send(get("/public/y"))) for _ in range(2 * EJECT_AFTER)]

    assert told.count(504) == EJECT_AFTER
    assert pool.targets[0].suspect
    assert {status(await world.send(get("/public/y"))) for _ in range(4)} == {200}


async def test_answers_after_which_the_app_closes_prove_it_alive(world: World, others):
    closing = await others()
    closing.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    pool = world.serve_from(target(closing), target(world.upstream))
    pool.targets[0].failures = EJECT_AFTER - 1

    for _ in range(2):
        assert status(await world.send(get("/public/x"))) == 200

    assert pool.targets[0].failures == 0


async def test_an_error_is_an_answer_and_ejects_nobody(world: World, others):
    unwell = await others()
    unwell.answer = lambda _head: b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    pool = world.serve_from(target(unwell), target(world.upstream))

    told = [status(await world.send(get("/public/x"))) for _ in range(10)]

    assert told == [503, 200] * 5
    assert pool.targets[0].failures == 0


async def test_a_rolling_restart_is_noticed_by_nobody(world: World):
    """The first is back but still ejected when the second goes: it is asked all the same."""
    doors = {"first": True, "second": True}

    def behind(name: str) -> Target:
        async def connect(factory) -> object:
            if not doors[name]:
                raise ConnectionRefusedError
            return await connecting_to(world.upstream)(factory)

        return Target(name, connect)

    pool = world.serve_from(behind("first"), behind("second"))
    # The restarted app has no kept connections either.
    world.upstream.answer = lambda _head: OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n", 1)
    for closed in ("first", "second"):
        doors.update(first=True, second=True)
        doors[closed] = False
        for request in [get("/public/x"), POST] * 5:
            assert status(await world.send(request)) == 200
    assert pool.targets[1].suspect


async def test_nobody_waits_for_one_dead_target_after_the_other(world: World):
    pool = world.serve_from(*(Target(str(n), blackhole) for n in range(3)), connect_timeout=0.3)
    for each in pool.targets:
        each.failures = EJECT_AFTER
        each.ejected_until = pool.deadlines.now + 60

    assert status(await world.send(get("/public/x"), wait=0.8)) == 504


async def test_one_target_that_hangs_leaves_connections_for_the_other(world: World, others):
    hanging = await others()
    hanging.answer = lambda _head: None
    world.serve_from(target(hanging), target(world.upstream), connections=8, queue=0)

    async def ask() -> int:
        client = await world.connect()
        client.send(get("/public/x"))
        return status(await client.rest())

    stuck = []
    for _ in range(40):
        asking = asyncio.ensure_future(ask())
        arrived = len(hanging.heads)
        await until(lambda arrived=arrived, a=asking: a.done() or len(hanging.heads) > arrived)
        if asking.done():
            assert asking.result() == 200
        else:
            stuck.append(asking)

    assert len(stuck) == 4
    for number in range(4):
        hanging.write(OK, number)
    assert await asyncio.gather(*stuck) == [200] * 4


@pytest.mark.parametrize(
    ("request_", "arrivals", "answered"),
    [(get("/public/x"), 1, 200), (PUT, 1, 502), (POST, 1, 502)],
    ids=["GET", "PUT with a body", "POST"],
)
async def test_h15_what_a_stale_connection_swallowed_goes_to_another_target_or_nowhere(
    world: World, others, request_, arrivals, answered
):
    """Counted at both: a POST reaches one of them once, a GET is asked again elsewhere."""
    stale = await others()
    world.serve_from(target(stale), target(world.upstream))
    for _ in range(2):
        await world.send(get("/public/warm-up"))
    close_kept_connections(stale)

    assert status(await world.send(request_)) == answered

    line = request_[: request_.index(b"\r\n")]
    assert stale.bytes_received.count(line) == arrivals
    assert world.upstream.bytes_received.count(line) == (answered == 200)


async def test_h15_the_less_busy_target_is_not_asked_again_when_its_connection_was_stale(
    world: World, others
):
    stale = await others()
    pool = world.serve_from(target(stale), target(world.upstream), balance="least-connections")
    for _ in range(2):
        await world.send(get("/public/warm-up"))
    world.upstream.answer = lambda head: None if b"/public/long" in head else OK
    busy = []
    for number in range(3):
        # Those of the other target stay unanswered, so that it is the busier one.
        busy.append(await world.connect())
        busy[-1].send(get("/public/long"))
        await until(lambda number=number: len(world.observed.requests) + _busy(pool) == 3 + number)
    assert _busy(pool)
    close_kept_connections(stale)

    assert status(await world.send(get("/public/x"))) == 200

    assert stale.bytes_received.count(b"GET /public/x ") == 1
    assert world.upstream.bytes_received.count(b"GET /public/x ") == 1


def _busy(pool: Pool) -> int:
    return sum(target.busy for target in pool.targets)


async def test_h15_after_one_stale_connection_no_other_kept_one_is_tried(world: World):
    """An app that restarts closes all of them."""
    clients = [await world.connect() for _ in range(3)]
    world.upstream.answer = lambda _head: None
    for client in clients:
        client.send(get("/public/warm-up", connection="keep-alive"))
    await world.upstream.until(lambda: len(world.upstream.heads) == 3)
    for number, client in enumerate(clients):
        world.upstream.write(OK, number)
        await client.answer()
    kept = len(world.upstream.received)
    first_of_new = world.upstream.heads
    world.upstream.answer = lambda _head: OK if len(world.upstream.received) > kept else b""
    world.upstream.close_after_answer = True

    assert status(await world.send(get("/public/x"))) == 200

    assert sum(b"/public/x" in head for head in first_of_new) == 2
    assert len(world.upstream.received) == kept + 1


async def test_a_post_to_a_dead_target_goes_to_the_next_once(world: World):
    pool = world.serve_from(Target("dead", refusing), target(world.upstream))

    for _ in range(10):
        assert status(await world.send(POST)) == 200

    assert world.upstream.bytes_received.count(b"POST ") == 10
    assert pool.state().connections == len(pool.targets[1].idle)


async def test_places_of_a_full_pool_stay_counted_while_requests_change_targets(world: World):
    async def refusing_slowly(_factory) -> object:
        await asyncio.sleep(0.05)
        raise ConnectionRefusedError

    world.upstream.answer = lambda _head: None
    pool = world.serve_from(
        Target("dead", refusing_slowly), target(world.upstream), connections=4, queue=20
    )
    clients = [await world.connect() for _ in range(12)]
    for client in clients:
        client.send(get("/public/x"))
    await until(lambda: pool.state().queued == 8)
    await world.upstream.until(lambda: len(world.upstream.heads) == 4)

    assert pool.state().connections == 4
    assert world.upstream.open_connections == 4


async def test_each_target_hears_its_own_host(world: World, others):
    second = await others()
    world.serve_from(
        Target("a", connecting_to(world.upstream), b"a.internal", b"a.internal"),
        Target("b", connecting_to(second), b"b.internal", b"b.internal"),
        host=b"a.internal",
    )
    for _ in range(2):
        assert status(await world.send(get("/public/x"))) == 200

    assert b"\r\nHost: a.internal\r\n" in world.upstream.heads[0]
    assert b"\r\nHost: b.internal\r\n" in second.heads[0]
    assert second.heads[0].count(b"\r\nHost:") == 1


async def test_that_we_cannot_dial_is_no_targets_failure(world: World):
    async def out_of_files(_factory) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    pool = world.serve_from(Target("a", out_of_files), Target("b", out_of_files))

    for _ in range(4):
        assert status(await world.send(get("/public/x"))) == 502

    assert [each.failures for each in pool.targets] == [0, 0]
    assert world.observed.failures == [("app", "connect")] * 4


async def test_a_connection_that_nobody_waited_for_any_more_proves_nothing(world: World):
    """Clients give up while it is opened; what it is good for, no answer has shown."""
    may_connect = asyncio.Event()

    async def slow(factory) -> object:
        await may_connect.wait()
        return await connecting_to(world.upstream)(factory)

    pool = world.serve_from(Target("slow", slow), Target("other", refusing))
    pool.targets[0].failures = EJECT_AFTER - 1
    pool.targets[1].healthy = False
    client = await world.connect()
    client.send(get("/public/x"))
    await until(lambda: pool.targets[0].open == 1)
    client.reset()
    await world.quiet()

    may_connect.set()

    await until(lambda: len(pool.targets[0].idle) == 1)
    assert pool.targets[0].failures == EJECT_AFTER - 1
    assert status(await world.send(get("/public/x"))) == 200
    assert pool.targets[0].failures == 0


class TestHealth:
    async def test_one_that_hangs_delays_nobodys_question(self, world: World, others):
        sick = await others()
        sick.answer = lambda _head: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        pool = world.serve_from(Target("hangs", blackhole), target(sick))
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 0.02, timeout=60.0))))

        await until(lambda: not pool.targets[1].healthy)
        assert pool.targets[0].healthy, "nothing is known of it yet"

    async def test_one_bad_answer_takes_nobody_out_and_three_in_a_row_do(
        self, world: World, others, caplog
    ):
        shaky = await others()
        asked = []
        bad = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"

        def answer(head: bytes) -> bytes:
            asked.append(head)
            return bad if len(asked) in (2, 4, 5, 7, 8, 9) else OK

        shaky.answer = answer
        pool = world.serve_from(target(shaky, "shaky"), target(world.upstream))
        shown = []
        check = Check("/healthz", 0.01)
        watching = world.tasks.spawn("health", watch_health(pool, check))
        pool.keep(watching)

        def seen() -> bool:
            shown.append((len(asked), pool.targets[0].healthy))
            return len(asked) > 12

        await until(seen)

        assert all(healthy for count, healthy in shown if count < 9)
        assert pool.targets[0].healthy
        told = [r.getMessage() for r in caplog.records if r.name == "gateway.proxy.health"]
        assert told == ["upstream app: target shaky is not well: status 503"]

    async def test_a_first_bad_answer_takes_a_target_out_at_once(self, world: World, others):
        dead = await others()
        dead.answer = lambda _head: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        pool = world.serve_from(target(dead), target(world.upstream))
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 60.0))))

        await until(lambda: not pool.targets[0].healthy)
        assert len(dead.heads) == 1

    async def test_no_answer_in_time_is_a_bad_one(self, world: World, caplog):
        silent = Target("silent", connecting_to(world.upstream))
        world.upstream.answer = lambda _head: None
        pool = world.serve_from(silent, Target("other", refusing))
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 60.0, timeout=0.1))))

        await until(lambda: not any(each.healthy for each in pool.targets))
        assert "target silent is not well: no answer in time" in caplog.text
        assert "target other is not well: nobody is there" in caplog.text
        await world.upstream.until(lambda: world.upstream.open_connections == 0)

    async def test_what_is_said_before_the_answer_is_no_answer(self, world: World, others):
        hinting = await others()
        hinting.answer = lambda _head: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
        pool = world.serve_from(target(hinting), target(world.upstream))
        pool.targets[0].healthy = False
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 60.0))))

        await until(lambda: pool.targets[0].healthy)

    async def test_that_we_cannot_ask_is_not_the_targets_illness(self, world: World):
        tries = []

        async def out_of_files(_factory) -> object:
            tries.append(1)
            raise OSError(errno.EMFILE, "Too many open files")

        pool = world.serve_from(Target("a", out_of_files), Target("b", out_of_files))
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 0.01))))

        await until(lambda: len(tries) > 8)
        assert all(each.healthy for each in pool.targets)

    async def test_whatever_goes_wrong_the_next_question_is_asked(self, world: World):
        tries = []

        async def odd(factory) -> object:
            tries.append(1)
            if len(tries) < 3:
                raise RuntimeError("out of the blue")
            return await connecting_to(world.upstream)(factory)

        pool = world.serve_from(Target("odd", odd), Target("other", refusing))
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 0.01))))

        await until(lambda: len(tries) > 5 and pool.targets[0].healthy)

    async def test_a_good_answer_ends_an_ejection_when_it_turns_the_verdict(self, world: World):
        pool = world.serve_from(target(world.upstream), Target("other", refusing))
        pool.targets[0].healthy = False
        pool.targets[0].failures = EJECT_AFTER
        pool.targets[0].ejected_until = pool.deadlines.now + 60
        pool.keep(world.tasks.spawn("health", watch_health(pool, Check("/", 60.0))))

        await until(lambda: pool.targets[0].in_service(pool.deadlines.now))
