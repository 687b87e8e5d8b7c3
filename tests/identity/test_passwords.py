"""Passwords are hashed off the event loop, with a bound."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from gateway.identity import password_hashes
from gateway.identity.password_hashes import Cost, make
from gateway.identity.passwords import Busy, Passwords, threads_for
from gateway.identity.provider import ProviderUnavailable

CHEAP = Cost(memory_kib=8, passes=1)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=2, queue=2, cost=CHEAP)
    yield made
    made.close()


async def test_what_was_hashed_is_recognised(passwords):
    made = await passwords.hash("correct horse")

    assert await passwords.verify(made, "correct horse")
    assert not await passwords.verify(made, "wrong horse")


async def test_the_cost_by_default_is_the_recommended_one():
    passwords = Passwords(threads=1)
    made = await passwords.hash("correct horse")
    passwords.close()

    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("password", ["", "x" * 1_000_000, "\ud800"])
async def test_impossible_passwords_never_reach_a_thread(passwords, password):
    passwords.close()  # any work would now be refused loudly

    assert await passwords.verify(make(b"x", CHEAP), password) is False
    with pytest.raises(ValueError, match="not a password"):
        await passwords.hash(password)


async def test_hashing_runs_in_its_own_threads(passwords):
    names = await asyncio.gather(
        *(passwords._run(lambda: threading.current_thread().name) for _ in range(4))
    )

    assert all(name.startswith("passwords") for name in names)


async def test_beyond_the_queue_one_is_busy_at_once_and_later_there_is_room_again(passwords):
    gate = threading.Event()
    running = [asyncio.ensure_future(passwords._run(gate.wait)) for _ in range(4)]
    await asyncio.sleep(0)

    with pytest.raises(Busy) as busy:
        await passwords.verify(make(b"x", CHEAP), "x")
    gate.set()
    await asyncio.gather(*running)

    assert busy.value.retry_after >= 1
    assert isinstance(busy.value, ProviderUnavailable)
    assert await passwords.verify(make(b"x", CHEAP), "x")


async def test_a_client_that_hangs_up_does_not_make_room_while_its_work_still_runs(passwords):
    gate = threading.Event()
    started = threading.Semaphore(0)

    def work() -> bool:
        started.release()
        return gate.wait()

    running = [asyncio.ensure_future(passwords._run(work)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.to_thread(lambda: (started.acquire(), started.acquire()))
    for job in running:
        job.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    # The two that waited are gone, the two that run are not.
    more = [asyncio.ensure_future(passwords._run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords._run(gate.wait)
    gate.set()
    await asyncio.gather(*more)


async def test_hashing_that_fails_or_is_over_is_unavailable(passwords):
    impossible = make(b"x", CHEAP).replace("m=8,", "m=4294967295,")
    with pytest.raises(ProviderUnavailable):
        await passwords.verify(impossible, "x")
    passwords.close()

    for _ in range(10):  # and takes no room with it
        with pytest.raises(ProviderUnavailable) as refused:
            await passwords.verify(make(b"x", CHEAP), "x")
        assert not isinstance(refused.value, Busy)


def test_the_decoy_and_the_age_of_hashes_follow_the_cost(passwords):
    assert passwords.decoy() == password_hashes.decoy(CHEAP)
    assert not passwords.outdated(passwords.decoy())
    assert passwords.outdated("$2b$04$" + "a" * 53)


@pytest.mark.parametrize(
    ("cores", "workers", "threads"),
    [(1, 1, 1), (2, 1, 1), (4, 1, 3), (64, 1, 4), (4, 2, 1), (8, 2, 3), (8, 8, 1), (2, 8, 1)],
)
def test_a_core_is_left_to_each_event_loop(cores: int, workers: int, threads: int):
    assert threads_for(cores, workers) == threads
