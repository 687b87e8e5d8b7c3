"""What a worker hears on its lifeline, early or late, and that it notices the end of its parent."""

import asyncio
import socket

import pytest

from gateway.workers.lifeline import IS_READY, Lifeline


@pytest.fixture
async def ends():
    parent, child = socket.socketpair()
    for end in (parent, child):
        end.setblocking(False)
    yield parent, child
    asyncio.get_running_loop().remove_reader(child.fileno())
    parent.close()
    child.close()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_reload_is_heard_by_its_number_and_several_at_once_as_the_last(ends):
    parent, child = ends
    heard = []
    lifeline = Lifeline(child)
    lifeline.hold(lambda: heard.append("gone"))
    lifeline.on_reload(heard.append)

    parent.send(bytes([3]))
    await until(lambda: heard == [3])
    parent.send(bytes([4, 5, 6]))
    await until(lambda: heard == [3, 6])


async def test_what_comes_while_the_worker_starts_waits_for_it(ends):
    parent, child = ends
    heard, gone = [], []
    lifeline = Lifeline(child)
    parent.send(bytes([7]))
    lifeline.hold(lambda: gone.append("gone"))
    for _ in range(5):
        await asyncio.sleep(0)

    lifeline.on_reload(heard.append)
    await until(lambda: heard == [7])
    assert gone == []


async def test_the_end_of_the_parent_is_heard_once(ends):
    parent, child = ends
    gone = []
    lifeline = Lifeline(child)
    lifeline.hold(lambda: gone.append("gone"))

    parent.close()
    await until(lambda: gone)
    for _ in range(5):
        await asyncio.sleep(0)

    assert gone == ["gone"]
    lifeline.say(IS_READY)  # to nobody, and harmless


async def test_the_worker_speaks_in_single_bytes(ends):
    parent, child = ends
    lifeline = Lifeline(child)

    lifeline.say(IS_READY)
    lifeline.say(9)

    assert parent.recv(64) == bytes([IS_READY, 9])
