"""Keeps this replica's deny set in step with what every replica announces.

Whenever the feed was interrupted it is read again from its beginning: a store that failed over may
have taken back the numbers we had seen, and hearing of an end twice costs nothing.
"""

import asyncio
from collections.abc import Callable
from math import inf

from gateway.sessions.revocation import DenySet
from gateway.sessions.store import Store, StoreUnavailable

_WAIT = 2.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class Follower:
    """`ready` once everything announced so far is denied here; the rest is for metrics."""

    def __init__(self, store: Store, deny: DenySet, now: Callable[[], float]) -> None:
        self._store = store
        self._deny = deny
        self._now = now
        self._heard = -inf
        self.ready = False
        self.connected = False
        self.received = 0
        self.interruptions = 0

    def lag(self) -> float:
        """Return for how many seconds a revocation may have gone unnoticed here."""
        return self._now() - self._heard

    async def follow(self) -> None:
        """Follow for ever; whatever goes wrong, go on."""
        cursor: str | None = None
        pause = _FIRST_PAUSE
        while True:
            try:
                cursor = await self._read(cursor)
                pause = _FIRST_PAUSE
            except Exception as error:  # noqa: BLE001 - a feed that nobody reads revokes nothing
                if not isinstance(error, StoreUnavailable):
                    _report(error)
                self.connected = False
                self.interruptions += 1
                cursor = None
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _read(self, cursor: str | None) -> str:
        batch = await self._store.announced(cursor, _WAIT)
        now = self._now()
        for revocation in batch.revocations:
            self.received += self._deny.add(revocation, now)
        if batch.complete:
            self.ready = self.connected = True
            self._heard = now
        return batch.cursor


def _report(error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "the revocation feed stumbled", "exception": error}
    )
