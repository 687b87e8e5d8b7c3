import asyncio

import pytest

from gateway.sessions.memory import MemoryStore
from gateway.sessions.store import LINGER
from gateway.sessions.sweeping import sweep_forever
from gateway.tasks import Tasks
from tests.fakes import FakeClock, FlakyStore
from tests.sessions.examples import session


@pytest.fixture
async def tasks():
    tasks = Tasks()
    yield tasks
    await tasks.close()


async def test_r5_all_that_is_over_goes_in_bounded_steps_even_after_an_outage(tasks):
    clock = FakeClock()
    store = FlakyStore(MemoryStore(clock))
    for n in range(1200):
        await store.add(session(id=f"{n:022}"))
    clock.advance(30 * 86_400 + LINGER)
    store.down = True

    tasks.spawn("sweep", sweep_forever(store, every=0.01))
    await asyncio.sleep(0.05)
    assert len(store.inner._texts) == 1200
    store.down = False
    async with asyncio.timeout(5):
        while store.inner._texts:
            await asyncio.sleep(0.01)

    assert store.inner._of_user == {}
    assert store.inner._going == []
