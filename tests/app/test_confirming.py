"""Sessions hear that their tokens are in use, a bounded number at a time."""

import asyncio

import pytest

from gateway.app.confirming import MOST_AT_ONCE, Confirming
from gateway.identity.principal import Principal
from gateway.pipeline import Authenticated
from gateway.tasks import Tasks
from gateway.tokens.access import AccessToken


class Store:
    """Keeps whoever confirms waiting until it is opened."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.opened = asyncio.Event()

    async def confirm(self, session_id: str, generation: int) -> None:
        self.asked.append((session_id, generation))
        await self.opened.wait()


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
async def confirming(store):
    tasks = Tasks()
    yield Confirming(store.confirm, tasks)
    await tasks.close()


def shown(session_id: str) -> Authenticated:
    token = AccessToken(Principal("alice"), session_id, 7, 0.0, 900.0, "t", "us", "gateway")
    return Authenticated(token, b"", seen=True)


async def test_a_session_hears_which_generation_is_in_use(confirming, store):
    confirming(shown("s1"))
    await asyncio.sleep(0)

    assert store.asked == [("s1", 7)]


async def test_a_token_without_a_session_confirms_nothing(confirming, store):
    confirming(shown(""))
    await asyncio.sleep(0)

    assert store.asked == []


async def test_r5_a_flood_of_new_tokens_asks_the_store_for_a_few_at_a_time(confirming, store):
    tokens = [shown(f"s{number}") for number in range(1000)]
    for each in tokens:
        confirming(each)
    await asyncio.sleep(0)

    assert len(store.asked) == MOST_AT_ONCE
    assert [each.seen for each in tokens] == [True] * MOST_AT_ONCE + [False] * (1000 - MOST_AT_ONCE)


async def test_who_found_no_room_is_told_of_by_a_later_request(confirming, store):
    for number in range(MOST_AT_ONCE):
        confirming(shown(f"s{number}"))
    late = shown("late")
    confirming(late)
    store.opened.set()
    while confirming._under_way:
        await asyncio.sleep(0)

    late.seen = True
    confirming(late)
    await asyncio.sleep(0)

    assert store.asked[-1] == ("late", 7)
    assert late.seen
