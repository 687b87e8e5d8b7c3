"""How late the event loop is: whatever blocks it, every request in flight waits as long (R9)."""

import asyncio
from collections import deque
from collections.abc import Callable

INTERVAL_SECONDS = 0.5
WINDOW_SECONDS = 15.0


class LoopLag:
    """Remembers the delays of the last 15 seconds; *clock* is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lags: deque[float] = deque(maxlen=int(WINDOW_SECONDS / INTERVAL_SECONDS))

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            self.note(self._clock() - due)

    def note(self, lag: float) -> None:
        """Remember one delay; clocks and timers may disagree by a hair, which is no lag."""
        self._lags.append(max(0.0, lag))

    def worst(self) -> float | None:
        """Return the longest delay remembered, None before the first."""
        return max(self._lags, default=None)
