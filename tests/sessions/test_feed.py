import asyncio
import time
from math import inf

import pytest

from gateway.sessions.feed import Follower
from gateway.sessions.memory import MemoryStore
from gateway.sessions.revocation import DenySet, Revocation
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks
from tests.fakes import FakeClock, FlakyStore
from tests.sessions.examples import EPOCH


def notice(session_id):
    return Revocation(at=EPOCH, until=EPOCH + 910_000, session_id=session_id)


class Following:
    def __init__(self, store, clock):
        self.deny = DenySet()
        self.follower = Follower(store, self.deny, clock)

    async def denied(self, *session_ids):
        async with asyncio.timeout(5):
            while not all(self.deny.ended(session_id) for session_id in session_ids):
                await asyncio.sleep(0.005)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(clock):
    return FlakyStore(MemoryStore(clock))


@pytest.fixture
async def following(store, clock):
    tasks = Tasks()
    one = Following(store, clock)
    one.start = lambda: tasks.spawn("feed", one.follower.follow())
    yield one
    await tasks.close()


async def ready(follower):
    async with asyncio.timeout(5):
        while not follower.ready:
            await asyncio.sleep(0.005)


async def test_a_replica_is_ready_when_it_denies_all_that_was_announced(store, following):
    await store.announce(notice("before"))
    assert not following.follower.ready
    assert following.follower.lag() == inf

    following.start()
    await ready(following.follower)

    assert following.deny.ended("before")
    assert following.follower.connected
    assert following.follower.lag() == 0


async def test_what_is_announced_later_is_denied_and_heard_by_listeners(store, following):
    heard = []
    following.deny.listen(heard.append)
    following.start()
    await ready(following.follower)

    await store.announce(notice("later"))
    await following.denied("later")

    assert heard == [notice("later")]
    assert following.follower.received == 1


async def test_r1_what_was_announced_while_the_store_was_out_of_reach_is_caught_up(
    store, following, clock
):
    following.start()
    await ready(following.follower)
    store.down = True
    await store.inner.announce(notice("one"))  # wakes the reader, which then fails
    async with asyncio.timeout(5):
        while following.follower.connected:
            await asyncio.sleep(0.005)
            await store.inner.announce(notice("two"))
    clock.advance(17)
    assert following.follower.lag() == 17
    assert following.follower.ready

    store.down = False
    await following.denied("one", "two")

    assert following.follower.interruptions >= 1
    assert following.follower.lag() == 0


async def test_after_an_interruption_the_feed_is_read_from_its_beginning(store, following):
    following.start()
    await store.announce(notice("one"))
    await following.denied("one")
    following.deny._sessions.clear()

    store.down = True
    await store.inner.announce(notice("two"))
    await asyncio.sleep(0.05)
    store.down = False

    await following.denied("one", "two")


async def test_a_listener_that_fails_does_not_end_the_following(store, following, caplog):
    def fail(_revocation):
        raise ZeroDivisionError

    following.deny.listen(fail)
    following.start()

    await store.announce(notice("one"))
    await store.announce(notice("two"))

    await following.denied("one", "two")
    assert "stumbled" in caplog.text


async def test_w4_every_store_tells_every_replica_within_a_second(backend):
    mine, other = backend.open(), backend.open()
    following = Following(other, time.time)
    backend.tasks.spawn("feed", following.follower.follow())
    await ready(following.follower)
    now = await mine.now()

    began = time.monotonic()
    await mine.announce(Revocation(at=now, until=now + 60_000, session_id="s"))
    await following.denied("s")

    assert time.monotonic() - began < 1.0


async def test_a_feed_of_several_pages_is_ready_only_at_its_end(backend):
    store = backend.open()
    now = await store.now()

    async def announce(numbers):
        for n in numbers:
            await store.announce(Revocation(at=now, until=now + 60_000, session_id=f"s{n}"))

    await asyncio.gather(*(announce(range(start, 1100, 4)) for start in range(4)))
    following = Following(backend.open(), time.time)

    backend.tasks.spawn("feed", following.follower.follow())
    await ready(following.follower)

    assert len(following.deny) == 1100


async def test_an_unreachable_store_stays_unready_and_says_so(store, following):
    store.down = True

    following.start()
    await asyncio.sleep(0.3)

    assert not following.follower.ready
    assert not following.follower.connected
    assert following.follower.interruptions >= 2
    with pytest.raises(StoreUnavailable):
        await store.now()
