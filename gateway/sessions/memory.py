"""Sessions in this process's memory: gone when it ends, and never seen by another process.

Nothing awaits between reading and writing, so every method is atomic.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import takewhile

from gateway.sessions.revocation import Revocation
from gateway.sessions.session import Session, encode
from gateway.sessions.store import LINGER, Announcements, Stored, stored


class MemoryStore:
    """`now` is the host's clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._texts: dict[str, str] = {}
        self._of_user: dict[str, dict[str, None]] = {}
        self._going: list[tuple[int, str]] = []  # a heap of (when to look whether it is over, id)
        self._feed: deque[tuple[int, Revocation]] = deque()
        self._last = 0
        self._changed = asyncio.Event()

    async def now(self) -> int:
        return self._clock()

    async def get(self, session_id: str) -> Stored | None:
        text = self._texts.get(session_id)
        return None if text is None else stored(text, self._clock())

    async def add(self, session: Session) -> None:
        self._texts[session.id] = encode(session)
        self._of_user.setdefault(session.principal.subject, {})[session.id] = None
        heappush(self._going, (session.over_at + LINGER, session.id))

    async def swap(
        self, before: Stored, after: Session, announce: Revocation | None = None
    ) -> bool:
        if self._texts.get(after.id) != before.text:
            return False
        self._texts[after.id] = encode(after)
        if after.over_at < before.session.over_at:
            heappush(self._going, (after.over_at + LINGER, after.id))
        if announce is not None:
            self._enter(announce)
        return True

    async def announce(self, revocation: Revocation) -> None:
        self._enter(revocation)

    async def of_user(self, subject: str) -> list[Stored]:
        now = self._clock()
        return [stored(self._texts[known], now) for known in self._of_user.get(subject, ())]

    async def announced(self, after: str | None, wait: float) -> Announcements:
        seen = int(after or 0)
        if after is not None and self._last <= seen:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
        fresh = [entry for _, entry in takewhile(lambda e: e[0] > seen, reversed(self._feed))]
        return Announcements(tuple(reversed(fresh)), str(self._last))

    async def rehearse(self) -> None:
        """Nothing to do: memory that could not be written would have ended the process."""

    async def sweep(self, limit: int) -> int:
        now, swept = self._clock(), 0
        while swept < limit and self._going and self._going[0][0] <= now:
            _, session_id = heappop(self._going)
            swept += self._forget_if_over(session_id, now)
        while swept < limit and self._feed and self._feed[0][1].until <= now:
            self._feed.popleft()
            swept += 1
        return swept

    async def close(self) -> None:
        """Nothing to let go of."""

    def _clock(self) -> int:
        return int(self._now() * 1000)

    def _enter(self, revocation: Revocation) -> None:
        self._last += 1
        self._feed.append((self._last, revocation))
        self._changed.set()

    def _forget_if_over(self, session_id: str, now: int) -> bool:
        text = self._texts.get(session_id)
        if text is None:
            return False
        session = stored(text, now).session
        if session.over_at + LINGER > now:  # it lived on since
            heappush(self._going, (session.over_at + LINGER, session_id))
            return False
        del self._texts[session_id]
        known = self._of_user[session.principal.subject]
        del known[session_id]
        if not known:
            del self._of_user[session.principal.subject]
        return True
