"""A connection to Redis that is cut off, or closed when nobody answers any more, is gone at once.

TLS says goodbye and waits for the other side's; a socket that waits outlives its store.
"""

import asyncio
import gc
import warnings
from contextlib import suppress

import pytest
import uvloop

from gateway.sessions.redis import RedisStore
from gateway.tasks import Tasks

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine, and fail if anything is still open when its event loop is closed."""

    def on_a_loop_of_its_own(work):
        with warnings.catch_warnings(record=True) as left_behind:
            warnings.simplefilter("always")
            with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
                runner.get_loop().set_exception_handler(lambda _loop, _context: None)
                result = runner.run(work)
            gc.collect()
        assert [str(warning.message) for warning in left_behind] == []
        return result

    return on_a_loop_of_its_own


@pytest.fixture(params=["redis_alone", "redis_tls"])
def server(request):
    server = request.getfixturevalue(request.param)
    yield server
    server.thaw()


def test_a_store_that_is_closed_is_closed_also_when_redis_answers_nothing(run, server):
    async def close(*, reading: bool) -> None:
        tasks = Tasks()
        store = RedisStore.open(server.url, tasks=tasks, deadline=0.5)
        await store.now()
        if reading:
            tasks.spawn("feed", store.announced("0-1", 2.0))
            await connected(store._clients.feed)
        server.freeze()
        await store.close()
        await tasks.close()
        server.thaw()

    run(close(reading=False))
    run(close(reading=True))


def test_a_connection_that_is_cut_off_at_any_point_of_its_opening_is_closed(run, server):
    async def cut_off(turns: int) -> bool:
        tasks = Tasks()
        store = RedisStore.open(server.url, tasks=tasks, deadline=2.0)
        opening = asyncio.ensure_future(store._clients.commands.get("nothing"))
        for _ in range(turns):
            await asyncio.sleep(0)
        cut = opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
        await store.close()
        await tasks.close()
        return cut

    turns = 0
    while run(cut_off(turns)):
        turns += 1
    assert turns > 5


async def connected(client) -> None:
    async with asyncio.timeout(10):
        while not any(one.is_connected for one in client.connection_pool._in_use_connections):
            await asyncio.sleep(0.005)
