"""Ends sessions: in the store, in the feed, and on this replica at once."""

from collections.abc import Callable

from gateway.sessions.events import Kind, Observe, event
from gateway.sessions.revocation import DenySet, Revocation
from gateway.sessions.session import Session
from gateway.sessions.store import Store, Stored, StoreUnavailable

# More rivals than this for one record within one deadline is not a browser with many tabs.
ATTEMPTS = 100


class Ending:
    """`span` is how many milliseconds an access token may outlive its session unless denied."""

    def __init__(
        self,
        store: Store,
        deny: DenySet,
        span: int,
        *,
        now: Callable[[], float],
        observe: Observe,
    ) -> None:
        self._store = store
        self._deny = deny
        self._span = span
        self._now = now
        self._observe = observe

    async def end(self, session_id: str, reason: str) -> bool:
        """End a session; one whose record a failed-over store has lost is announced all the same.

        Its access tokens would otherwise be honoured until they expire.
        """
        ended = await self.end_kept(session_id, reason)
        if ended is None:
            await self._announce(await self._store.now(), session_id=session_id)
        return bool(ended)

    async def end_kept(self, session_id: str, reason: str) -> bool | None:
        """End what the store has; False when it was over already, None when there is nothing."""
        for _ in range(ATTEMPTS):
            before = await self._store.get(session_id)
            if before is None:
                return None
            if before.session.revoked:
                self._deny.add(self._notice(before.session.revoked, session_id), self._now())
                return False
            after = before.session.revoke(before.now, reason)
            if await self.swap_over(before, after):
                self._observe(event(Kind.ENDED, after))
                return True
        raise StoreUnavailable("too many change one session at once")

    async def swap_over(self, before: Stored, after: Session) -> bool:
        """Swap in a session that is over, tell everybody, and begin here."""
        notice = self._notice(before.now, after.id)
        swapped = await self._store.swap(before, after, notice)
        if swapped:
            self._deny.add(notice, self._now())
        return swapped

    async def end_all(self, subject: str, reason: str, keep: str | None) -> int:
        """End every session of a subject except the one to *keep*; return how many."""
        now = await self._store.now()
        ended = 0
        for known in await self._store.of_user(subject):
            if known.session.id != keep:
                ended += bool(await self.end_kept(known.session.id, reason))
        # Also covers sessions whose records a failed-over store has lost.
        await self._announce(now, subject=subject)
        return ended

    async def _announce(
        self, now: int, session_id: str | None = None, subject: str | None = None
    ) -> None:
        notice = self._notice(now, session_id, subject)
        await self._store.announce(notice)
        self._deny.add(notice, self._now())

    def _notice(
        self, at: int, session_id: str | None = None, subject: str | None = None
    ) -> Revocation:
        return Revocation(at=at, until=at + self._span, session_id=session_id, subject=subject)
