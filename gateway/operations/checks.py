"""What readiness asks of the session room; the app adds what only it can see."""

from collections.abc import Callable

from gateway.operations.operations import Check
from gateway.sessions.store import Store, StoreUnavailable


def store_answers(store: Store) -> Check:
    """Fine when the store takes a write: one whose disk is full still reads, and renews nothing."""

    async def check() -> str | None:
        try:
            await store.rehearse()
        except StoreUnavailable as error:
            return str(error)
        return None

    return check


def feed_is_fresh(lag: Callable[[], float | None], limit: float) -> Check:
    """Fine when the revocation feed was complete at most *limit* seconds ago.

    Before the first snapshot (None) it is not: revoked sessions would still be let through.
    """

    async def check() -> str | None:
        seconds = lag()
        if seconds is None:
            return "not read yet"
        return None if seconds <= limit else f"{seconds:.0f} s behind"

    return check
