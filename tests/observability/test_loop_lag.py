"""Loop lag, on a real loop that is really blocked."""

import asyncio
import time

from gateway.observability import loop_lag
from gateway.observability.loop_lag import INTERVAL_SECONDS, WINDOW_SECONDS, LoopLag
from gateway.tasks import Tasks


def test_nothing_is_told_before_the_first_measurement():
    assert LoopLag(time.monotonic).worst() is None


def test_the_worst_delay_is_told_until_its_window_has_passed():
    lag = LoopLag(time.monotonic)
    lag.note(0.4)

    for _ in range(int(WINDOW_SECONDS / INTERVAL_SECONDS) - 1):
        lag.note(0.001)
    assert lag.worst() == 0.4

    lag.note(-0.0001)
    assert lag.worst() == 0.001


async def test_r9_a_blocked_loop_shows(monkeypatch):
    monkeypatch.setattr(loop_lag, "INTERVAL_SECONDS", 0.01)
    lag, tasks = LoopLag(time.monotonic), Tasks()
    tasks.spawn("loop lag", lag.run())
    await asyncio.sleep(0)  # it sleeps from here on

    time.sleep(0.2)
    while lag.worst() is None:
        await asyncio.sleep(0)

    await tasks.close()
    assert 0.15 < lag.worst() < 2
