"""What this replica denies without asking anybody: sessions that ended before their tokens did.

Access tokens carry no look-up, so a session's end is announced to every replica, and each denies
its access tokens for as long as they could still be valid. Bounded, and it fails safe: when there
are more announcements than room, every token issued so far must be renewed, which asks the store.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Revocation:
    """An announcement: one session is over, or a subject's tokens issued before `at` are.

    Milliseconds of the store's clock; after `until` no access token it concerns is valid any more.
    """

    at: int
    until: int
    session_id: str | None = None
    subject: str | None = None


Listener = Callable[[Revocation], None]

_PURGE_EVERY = 1.0
_PURGE_AT_ONCE = 1000


class DenySet:
    """The announcements that still matter. `now` and `issued_at` are unix seconds."""

    __slots__ = (
        "_capacity",
        "_cutoff",
        "_listeners",
        "_purge_at",
        "_sessions",
        "_subjects",
        "overflows",
    )

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._sessions: dict[str, float] = {}
        self._subjects: dict[str, tuple[float, float]] = {}
        self._cutoff = 0.0
        self._purge_at = 0.0
        self._listeners: list[Listener] = []
        self.overflows = 0

    def denies(self, session_id: str, subject: str, issued_at: float, now: float) -> bool:
        """Whether an access token proves nothing any more; it then counts as expired."""
        if now >= self._purge_at:
            self._purge(now)
        if session_id in self._sessions or issued_at < self._cutoff:
            return True
        if not self._subjects:
            return False
        entry = self._subjects.get(subject)
        return entry is not None and issued_at < entry[0]

    def ended(self, session_id: str) -> bool:
        """Whether this very session was announced as over."""
        return session_id in self._sessions

    def add(self, revocation: Revocation, now: float) -> bool:
        """Deny from here on, and tell the listeners unless it was known already."""
        # Only the span crosses clocks: the store's may differ from ours.
        gone = now + (revocation.until - revocation.at) / 1000
        if not (self._add_session(revocation, gone) | self._add_subject(revocation, gone)):
            return False
        if len(self) > self._capacity:
            self._overflow(now)
        for listener in tuple(self._listeners):
            listener(revocation)
        return True

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call *listener* for every new announcement until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def __len__(self) -> int:
        return len(self._sessions) + len(self._subjects)

    def _add_session(self, revocation: Revocation, gone: float) -> bool:
        session_id = revocation.session_id
        if session_id is None or session_id in self._sessions:
            return False
        self._sessions[session_id] = gone
        return True

    def _add_subject(self, revocation: Revocation, gone: float) -> bool:
        subject = revocation.subject
        if subject is None:
            return False
        # Exact, as our tokens tell their times in milliseconds of the same clock: the sign-in that
        # follows a sign-out everywhere at once must not be denied, the one before must.
        not_before = revocation.at / 1000
        known = self._subjects.get(subject)
        if known is not None and known[0] >= not_before:
            return False
        self._subjects.pop(subject, None)
        self._subjects[subject] = (not_before, gone)
        return True

    def _overflow(self, now: float) -> None:
        self._sessions.clear()
        self._subjects.clear()
        self._cutoff = max(self._cutoff, now)
        self.overflows += 1

    def _purge(self, now: float) -> None:
        """Forget the oldest that no longer matter; a few at a time, as this runs inside requests.

        Entries arrive nearly in the order in which they go; one that stays a little too long is
        memory, never a wrong answer: a session that ended stays ended.
        """
        sessions = list(islice(self._sessions.items(), _PURGE_AT_ONCE))
        gone = [session_id for session_id, until in sessions if until <= now]
        for session_id in gone:
            del self._sessions[session_id]
        subjects = list(islice(self._subjects.items(), _PURGE_AT_ONCE))
        for subject, (_, until) in subjects:
            if until <= now:
                del self._subjects[subject]
        more = len(gone) == _PURGE_AT_ONCE
        self._purge_at = now if more else now + _PURGE_EVERY
