"""Answers that last: WebSockets and event streams, by the session that they belong to.

When the session ends, they end (SECURITY W4).
"""

from typing import Protocol


class Stream(Protocol):
    """Something open that lives no longer than its session."""

    def session_ended(self) -> None: ...


class Streams:
    """Open streams, found by session and by subject."""

    def __init__(self) -> None:
        self._by_session: dict[str, set[Stream]] = {}
        self._subjects: dict[str, str] = {}

    def add(self, session_id: str, subject: str, stream: Stream) -> None:
        self._by_session.setdefault(session_id, set()).add(stream)
        self._subjects[session_id] = subject

    def remove(self, session_id: str, stream: Stream) -> None:
        streams = self._by_session.get(session_id)
        if streams is None:
            return
        streams.discard(stream)
        if not streams:
            del self._by_session[session_id]
            del self._subjects[session_id]

    def end_session(self, session_id: str) -> None:
        """Close what *session_id* has open."""
        for stream in tuple(self._by_session.get(session_id, ())):
            stream.session_ended()

    def end_subject(self, subject: str) -> None:
        """Close what any session of *subject* has open."""
        for session_id, whose in tuple(self._subjects.items()):
            if whose == subject:
                self.end_session(session_id)

    def sessions(self) -> tuple[str, ...]:
        """Return the sessions that have something open."""
        return tuple(self._by_session)

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))
