from dataclasses import replace

import pytest

from gateway.sessions.ending import Ending
from gateway.sessions.memory import MemoryStore
from gateway.sessions.revocation import DenySet
from gateway.sessions.store import StoreUnavailable
from tests.fakes import FakeClock, FlakyStore
from tests.sessions.examples import ALICE, SESSION_ID, session


class Desk:
    def __init__(self):
        self.clock = FakeClock()
        self.store = FlakyStore(MemoryStore(self.clock))
        self.deny = DenySet()
        self.events = []
        self.ending = Ending(
            self.store,
            self.deny,
            910_000,
            now=self.clock,
            observe=self.events.append,
        )

    async def announced(self):
        return (await self.store.inner.announced(None, 0)).revocations


@pytest.fixture
def desk():
    return Desk()


async def test_an_end_that_another_replica_made_is_known_here_at_once(desk):
    now = int(desk.clock() * 1000)
    await desk.store.add(session().revoke(now, "admin"))

    assert not await desk.ending.end(SESSION_ID, "logout")

    assert desk.deny.ended(SESSION_ID)
    assert await desk.announced() == ()


async def test_ending_everything_ends_what_is_listed_and_denies_what_may_be_lost(desk):
    await desk.store.add(session())
    await desk.store.add(session(id="B" * 22))
    await desk.store.add(session(id="C" * 22, principal=replace(ALICE, subject="bob")))

    assert await desk.ending.end_all("alice", "disabled", None) == 2

    assert {(e.session_id, e.subject) for e in await desk.announced()} == {
        (SESSION_ID, None),
        ("B" * 22, None),
        (None, "alice"),
    }
    assert desk.deny.denies("lost", "alice", desk.clock() - 1, desk.clock())
    assert not desk.deny.denies("C" * 22, "bob", desk.clock() - 1, desk.clock())


async def test_an_end_that_the_store_did_not_take_is_not_claimed(desk):
    await desk.store.add(session())
    desk.store.down = True

    with pytest.raises(StoreUnavailable):
        await desk.ending.end(SESSION_ID, "logout")

    assert not desk.deny.ended(SESSION_ID)
    assert desk.events == []
