"""Opens the session store that the configuration names; the only place that knows them all."""

from collections.abc import Callable

from gateway.config.values import Sessions
from gateway.sessions.memory import MemoryStore
from gateway.sessions.store import Store
from gateway.tasks import Tasks

# Redis answers within a millisecond; the rest is for a busy host on either side, which must not
# turn fifty renewals at once into fifty refusals.
_REDIS_SECONDS = 1.0


def open_store(sessions: Sessions, *, tasks: Tasks, now: Callable[[], float]) -> Store:
    """Return the store; nothing is asked of it before its first use."""
    url = sessions.store.reveal()
    match sessions.store_kind:
        case "memory":
            return MemoryStore(now)
        case "sqlite" | "postgresql":
            from gateway.sessions.sql import SqlStore  # noqa: PLC0415 - only where it is used

            return SqlStore.open(url, tasks=tasks, now=now)
        case "redis":
            from gateway.sessions.redis import RedisStore  # noqa: PLC0415 - only where it is used

            return RedisStore.open(url, tasks=tasks, deadline=_REDIS_SECONDS)
