"""A worker asks the others, and neither a dead nor a hanging one holds it up for long."""

import asyncio

import pytest

from gateway.tasks import Tasks
from gateway.workers.channel import Others, answer_on, open_channel


@pytest.fixture
async def channels():
    opened = {number: open_channel() for number in (1, 2)}
    yield opened
    for channel in opened.values():
        asyncio.get_running_loop().remove_reader(channel.reading.fileno())
        channel.close()


@pytest.fixture
async def tasks():
    tasks = Tasks()
    yield tasks
    await tasks.close()


def others(channels, reload_them=lambda: None):
    return Others({number: each.writing for number, each in channels.items()}, reload_them)


async def test_everybody_who_is_there_answers(channels, tasks):
    async def long_answer(question):
        return question.decode() * 100_000

    for channel in channels.values():
        answer_on(channel.reading, long_answer, tasks)

    assert await others(channels).metrics() == {
        1: "metrics" * 100_000,
        2: "metrics" * 100_000,
    }


async def test_who_does_not_answer_is_named_and_left_out(channels, tasks):
    async def fine(_question):
        return ""

    answer_on(channels[1].reading, fine, tasks)

    assert await others(channels).unready() == "worker 2: no answer"
    assert await others(channels).metrics() == {1: ""}


async def test_who_lacks_something_says_what(channels, tasks):
    async def lacking(_question):
        return "store: down"

    for channel in channels.values():
        answer_on(channel.reading, lacking, tasks)

    assert await others(channels).unready() == "worker 1: store: down; worker 2: store: down"


async def test_questions_that_nobody_reads_pile_up_no_further_than_the_system_lets_them(channels):
    asking = others(channels)
    unread = [asyncio.ensure_future(asking.metrics()) for _ in range(400)]

    assert await asyncio.gather(*unread) == [{}] * 400


async def test_an_answer_to_nobody_harms_nobody(channels, tasks):
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def late(_question):
        asked.set()
        await go_on.wait()
        return "x" * 1_000_000

    answer_on(channels[1].reading, late, tasks)
    asking = asyncio.ensure_future(others({1: channels[1]}).metrics())
    await asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    go_on.set()
    while len(tasks):
        await asyncio.sleep(0)


def test_a_reload_is_passed_on():
    passed = []

    Others({}, lambda: passed.append("reload")).reload()

    assert passed == ["reload"]
