"""The contract of every session store: it keeps, compares and swaps, and knows no rules.

*Unavailable* is never merged with *no*: a store that was not reached, was too slow or holds a
record it can't read raises StoreUnavailable. A write that raises may have happened all the same.
"""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, unquote

from gateway.sessions.revocation import Revocation
from gateway.sessions.session import Session, UnreadableRecord, decode

# How long a record is kept after its session is over, so that whoever shows a token of it is told
# what happened. Nothing depends on it: a forgotten session is as over as a remembered one.
LINGER = 3_600_000


class StoreUnavailable(Exception):
    """Nobody answered in time. Says nothing about the session, nor whether a write happened."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read: `text` is what `swap` compares, `now` the store's own time."""

    session: Session
    text: str
    now: int


@dataclass(frozen=True, slots=True)
class Announcements:
    """One reading of the revocation feed; `complete` unless more is waiting already."""

    revocations: tuple[Revocation, ...]
    cursor: str
    complete: bool = True


class Store(Protocol):
    """Every method raises StoreUnavailable, within the store's deadline."""

    async def now(self) -> int:
        """Return the store's clock in milliseconds: the only one that sessions go by."""

    async def get(self, session_id: str) -> Stored | None:
        """Return the record as its last writer left it."""

    async def add(self, session: Session) -> None:
        """Keep a new session."""

    async def swap(
        self, before: Stored, after: Session, announce: Revocation | None = None
    ) -> bool:
        """Replace the record if it is still *before*, else change nothing and return False.

        The announcement enters the feed together with the change, or is certain to follow it.
        """

    async def announce(self, revocation: Revocation) -> None:
        """Enter an announcement that belongs to no single record."""

    async def of_user(self, subject: str) -> list[Stored]:
        """Return what is kept of a subject's sessions, over or not."""

    async def announced(self, after: str | None, wait: float) -> Announcements:
        """Return announcements after a cursor, waiting up to *wait* seconds for one.

        Without a cursor: everything that still matters, at once. Some may come twice.
        """

    async def rehearse(self) -> None:
        """Write something that nobody will see: a store that only reads renews nothing."""

    async def sweep(self, limit: int) -> int:
        """Forget up to *limit* things whose time is over; return how many."""

    async def close(self) -> None:
        """Let go of every connection."""


def stored(text: str, now: int) -> Stored:
    """Read a record; one that can't be read is no evidence that the session is over."""
    try:
        return Stored(decode(text), text, now)
    except UnreadableRecord as error:
        raise StoreUnavailable(f"a session record is unreadable: {error}") from error


def subject_key(subject: str) -> str:
    """Spell a subject so that every store can index it: no NUL, no lone surrogate."""
    return quote(subject, safe="@+ ", errors="surrogatepass")


def subject_of(key: str) -> str:
    """Undo `subject_key`."""
    return unquote(key, errors="surrogatepass")
