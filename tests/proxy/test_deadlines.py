"""Deadlines pass for those who are late, and not for those whom we kept waiting."""

import asyncio
import time
from dataclasses import dataclass

from gateway.proxy.deadlines import NEVER, TICK_SECONDS, Deadlines
from tests.proxy.conftest import until


@dataclass(eq=False)
class Waiting:
    deadline: float = NEVER
    times: int = 0

    def expired(self) -> None:
        self.times += 1
        self.deadline = NEVER


async def test_what_came_while_the_loop_was_held_up_is_looked_at_before_it_is_called_late():
    loop, deadlines, waiting = asyncio.get_running_loop(), Deadlines(), Waiting()
    deadlines.start()
    deadlines.watch(waiting)
    waiting.deadline = deadlines.now + 2 * TICK_SECONDS

    def came() -> None:
        waiting.deadline = NEVER

    time.sleep(4 * TICK_SECONDS)
    # As the loop does with what it finds to be read: after the timers of the same turn.
    loop.call_later(TICK_SECONDS / 8, came)
    await until(lambda: waiting.deadline == NEVER)

    assert waiting.times == 0
    deadlines.stop()


async def test_whoever_is_late_when_the_loop_is_free_again_is_late():
    deadlines, waiting = Deadlines(), Waiting()
    deadlines.start()
    deadlines.watch(waiting)
    waiting.deadline = deadlines.now + TICK_SECONDS / 2

    time.sleep(4 * TICK_SECONDS)

    await until(lambda: waiting.times == 1)
    deadlines.stop()


async def test_one_whose_end_goes_wrong_does_not_keep_the_others_waiting():
    class Broken(Waiting):
        def expired(self) -> None:
            raise RuntimeError("broken")

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    deadlines, broken, waiting = Deadlines(), Broken(), Waiting()
    deadlines.start()
    for each in (broken, waiting):
        deadlines.watch(each)
        each.deadline = deadlines.now

    await until(lambda: waiting.times == 1)

    assert [str(context["exception"]) for context in told] == ["broken"]
    deadlines.stop()


async def test_where_the_loop_is_always_late_deadlines_still_pass():
    deadlines, waiting = Deadlines(), Waiting()
    deadlines.start()
    deadlines.watch(waiting)
    waiting.deadline = deadlines.now
    turns = 0

    while not waiting.times:
        time.sleep(3.5 * TICK_SECONDS)
        await asyncio.sleep(0)
        turns += 1
        assert turns < 10, "nobody is ever told"

    deadlines.stop()
