"""The session store from the command line: running gateways hear of every end from the store."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.app.stores import open_store
from gateway.config.values import Config
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks

Result = TypeVar("Result")


def with_lifecycle(config: Config, work: Callable[[Lifecycle], Awaitable[Result]]) -> Result:
    """Run *work* on the configured store. Raises StoreUnavailable.

    The lifecycle lists and ends sessions; it mints no tokens, so that it needs no keys.
    """

    async def run() -> Result:
        tasks = Tasks()
        store = open_store(config.sessions, tasks=tasks, now=time.time)
        settings = Settings(access=round(config.tokens.access_lifetime * 1000))
        lifecycle = Lifecycle(store, tuple, settings, deny=DenySet(), tasks=tasks, now=time.time)
        try:
            return await work(lifecycle)
        finally:
            await store.close()
            await tasks.close()

    return asyncio.run(run())
