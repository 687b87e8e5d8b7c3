import asyncio

import pytest

from gateway.sessions.deadline import Deadline
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks


class LibraryError(Exception):
    pass


@pytest.fixture
def make():
    tasks = Tasks()
    return lambda seconds=5.0, **more: Deadline(tasks, seconds, (LibraryError,), **more)


async def never():
    await asyncio.Event().wait()


async def fail():
    raise LibraryError("connection lost")


async def answer():
    return 42


async def test_an_answer_in_time_is_passed_on(make):
    assert await make().run(answer) == 42


@pytest.mark.parametrize("error", [LibraryError("x"), ConnectionResetError(), EOFError()])
async def test_failures_of_the_library_are_unavailable(make, error):
    async def work():
        raise error

    with pytest.raises(StoreUnavailable) as caught:
        await make().run(work)
    assert caught.value.__cause__ is error


async def test_our_own_mistakes_are_not_hidden(make, caplog):
    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await make().run(work)
    await asyncio.sleep(0)
    assert "store call failed" in caplog.text


async def test_a_call_that_takes_too_long_is_left_behind_even_when_it_resists(make):
    finished = asyncio.Event()

    async def stubborn():
        try:
            await never()
        finally:
            await finished.wait()

    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(2):
            await make(0.01).run(stubborn)
    finished.set()


async def test_a_caller_that_gives_up_does_not_cut_the_call_in_half(make):
    steps = []
    proceed = asyncio.Event()

    async def work():
        steps.append("begun")
        await proceed.wait()
        steps.append("done")

    caller = Tasks().spawn("caller", make().run(work))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    proceed.set()
    await asyncio.sleep(0.01)

    assert steps == ["begun", "done"]


async def test_after_failures_in_a_row_calls_fail_at_once_until_the_rest_is_over(make):
    deadline = make(patience=3, rest=0.05)
    asked = []

    async def work():
        asked.append(1)
        raise LibraryError

    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await deadline.run(work)
    assert len(asked) == 3

    await asyncio.sleep(0.06)
    trial, other = await asyncio.gather(
        deadline.run(answer), deadline.run(answer), return_exceptions=True
    )
    assert trial == 42
    assert isinstance(other, StoreUnavailable)
    assert await deadline.run(answer) == 42


async def test_one_success_in_between_is_enough(make):
    deadline = make(patience=2)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await deadline.run(fail)
        assert await deadline.run(answer) == 42


async def test_a_long_wait_has_its_own_time_and_no_memory(make):
    deadline = make(0.01, patience=1)

    with pytest.raises(StoreUnavailable):
        await deadline.once(never, extra=0.01)

    assert await deadline.run(answer) == 42
    assert await deadline.once(lambda: asyncio.sleep(0.03, 7), extra=1.0) == 7


async def test_closing_lets_calls_end_and_waits_no_longer_and_takes_no_more(make):
    deadline = make(0.2)
    tasks, order = Tasks(), []

    async def call():
        await asyncio.sleep(0.02)
        order.append("call")

    async def close():
        order.append("closed")

    caller = tasks.spawn("caller", deadline.run(call))
    waiter = tasks.spawn("waiter", deadline.once(never, extra=100))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await deadline.close(close)
        await caller
        with pytest.raises(asyncio.CancelledError):
            await waiter

    assert order == ["call", "closed"]
    with pytest.raises(StoreUnavailable):
        await deadline.run(answer)
