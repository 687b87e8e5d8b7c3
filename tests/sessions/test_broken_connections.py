"""A connection that breaks is StoreUnavailable, on the event loop that we really run on."""

import asyncio
from contextlib import suppress

import pytest
import uvloop

from gateway.sessions.redis import RedisStore
from gateway.sessions.sql import SqlStore
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks
from tests.faults.link import Link


def open_redis(port, tasks):
    return RedisStore.open(f"redis://127.0.0.1:{port}/0", tasks=tasks, deadline=1.0)


def open_postgresql(port, tasks):
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    return SqlStore.open(url, tasks=tasks, now=lambda: 0.0)


@pytest.mark.parametrize(
    ("server", "open_store"), [("redis_alone", open_redis), ("postgres", open_postgresql)]
)
def test_a_connection_that_breaks_under_a_call_is_an_unavailable_store(request, server, open_store):
    async def call(store) -> None:
        for _ in range(10):
            with suppress(StoreUnavailable):
                await store.get("A" * 22)
                await asyncio.sleep(0)

    async def run(link: Link) -> None:
        tasks = Tasks()
        store = open_store(link.port, tasks)
        for _ in range(15):
            calls = [asyncio.create_task(call(store)) for _ in range(8)]
            await asyncio.sleep(0.002)
            link.reset()
            await asyncio.gather(*calls)
        await store.close()
        await tasks.close()

    with Link(request.getfixturevalue(server).port).running() as link:
        uvloop.run(run(link))
    assert link.counted["reset"]
