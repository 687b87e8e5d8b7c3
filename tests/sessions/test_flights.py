import asyncio

import pytest

from gateway.sessions.flights import Flights
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks


@pytest.fixture
async def tasks():
    tasks = Tasks()
    yield tasks
    await tasks.close()


class Work:
    def __init__(self, answer="answer"):
        self.begun = 0
        self.finished = 0
        self.answer = answer
        self.proceed = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        await self.proceed.wait()
        self.finished += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_the_same_question_at_the_same_time_is_answered_once(tasks):
    flights, work = Flights(tasks), Work()
    asking = [tasks.spawn("ask", flights.join(("s", "token"), work)) for _ in range(5)]
    await asyncio.sleep(0.01)
    work.proceed.set()

    assert await asyncio.gather(*asking) == ["answer"] * 5
    assert work.begun == 1


async def test_a_later_question_is_asked_anew(tasks):
    flights, work = Flights(tasks), Work()
    work.proceed.set()

    await flights.join("key", work)
    await flights.join("key", work)

    assert work.begun == 2


async def test_different_questions_never_share_an_answer(tasks):
    flights, one, other = Flights(tasks), Work("one"), Work("other")
    one.proceed.set()
    other.proceed.set()

    answers = await asyncio.gather(
        flights.join(("s", "token-1"), one), flights.join(("s", "token-2"), other)
    )

    assert answers == ["one", "other"]


async def test_s8_the_work_goes_on_when_all_who_asked_have_given_up(tasks):
    flights, work = Flights(tasks), Work()
    asking = [tasks.spawn("ask", flights.join("key", work)) for _ in range(3)]
    await asyncio.sleep(0.01)
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)

    work.proceed.set()
    await asyncio.sleep(0.01)

    assert work.finished == 1


async def test_unavailable_reaches_everybody_who_asked_and_nobody_else(tasks, caplog):
    flights, work = Flights(tasks), Work(StoreUnavailable("down"))
    asking = [tasks.spawn("ask", flights.join("key", work)) for _ in range(2)]
    given_up = tasks.spawn("ask", flights.join("key", work))
    await asyncio.sleep(0.01)
    given_up.cancel()
    work.proceed.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert "session work failed" not in caplog.text


async def test_settling_waits_for_what_is_under_way(tasks):
    flights, work = Flights(tasks), Work()
    await flights.settle()
    asking = tasks.spawn("ask", flights.join("key", work))
    await asyncio.sleep(0.01)
    settling = tasks.spawn("settle", flights.settle())
    await asyncio.sleep(0.01)
    assert not settling.done()

    work.proceed.set()

    await settling
    assert await asking == "answer"
