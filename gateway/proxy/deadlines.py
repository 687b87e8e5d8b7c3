"""One clock hand for all connections: deadlines are checked a few times a second, not one by one.

A timer for each request would cost more than the rest of its bookkeeping; a deadline that is met
a quarter of a second late harms nobody.
"""

import asyncio
import math
from typing import Protocol

NEVER = math.inf
TICK_SECONDS = 0.25
_HELD_UP_SECONDS = 3 * TICK_SECONDS


class Timed(Protocol):
    """Something that may be waiting. *deadline* in seconds of the loop's clock, NEVER when not."""

    deadline: float

    def expired(self) -> None:
        """The deadline has passed. Called again at every tick until it is moved."""


class Deadlines:
    """Knows everything that may be waiting, and the time, to the nearest tick."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timed: set[Timed] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._waved_through = False

    def start(self) -> None:
        self.now = asyncio.get_running_loop().time()
        self._tick()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def watch(self, timed: Timed) -> None:
        self._timed.add(timed)

    def forget(self, timed: Timed) -> None:
        self._timed.discard(timed)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        before, self.now = self.now, loop.time()
        # First of all, so that nothing that goes wrong below can stop the clock.
        self._handle = loop.call_later(TICK_SECONDS, self._tick)
        # Timers come before what is there to be read: somebody who was in time may be unheard. By
        # the next tick they were heard; where each is late, nobody would ever be told otherwise.
        held_up = self.now > before + _HELD_UP_SECONDS
        self._waved_through = held_up and not self._waved_through
        if self._waved_through:
            return
        now = self.now
        for timed in [timed for timed in self._timed if timed.deadline <= now]:
            # One that expires may move the deadline of another.
            if timed.deadline <= now:
                self._expire(timed, loop)

    def _expire(self, timed: Timed, loop: asyncio.AbstractEventLoop) -> None:
        try:
            timed.expired()
        except Exception as error:  # noqa: BLE001 - the others must not wait for ever
            self.forget(timed)
            loop.call_exception_handler({"message": "a deadline was missed", "exception": error})
