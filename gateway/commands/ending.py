"""Ends a user's sessions from the command line; the running gateways hear of it from the store."""

import asyncio
import time

import click

from gateway.config.values import Config
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.revocation import DenySet
from gateway.sessions.sql import SqlStore
from gateway.sessions.store import Store, StoreUnavailable
from gateway.tasks import Tasks


def end_sessions(config: Config, subject: str, reason: str) -> str:
    """Return what became of the sessions, in words. Raises ClickException when some may live."""
    if config.sessions.store_kind == "memory":
        return "sessions are in the memory of the running gateway: restart it to end them"
    try:
        ended = asyncio.run(_end(config, subject, reason))
    except StoreUnavailable as failure:
        raise click.ClickException(
            f"the user is changed, but sessions may live on: {config.sessions.store}: {failure}; "
            "run this again"
        ) from failure
    return f"ended {ended} session{'' if ended == 1 else 's'}"


async def _end(config: Config, subject: str, reason: str) -> int:
    tasks = Tasks()
    store = _open(config, tasks)
    settings = Settings(access=int(config.tokens.access_lifetime * 1000))
    lifecycle = Lifecycle(store, lambda: (), settings, deny=DenySet(), tasks=tasks, now=time.time)
    try:
        return await lifecycle.end_all(subject, reason)
    finally:
        await store.close()
        await tasks.close()


def _open(config: Config, tasks: Tasks) -> Store:
    match config.sessions.store_kind:
        case "sqlite" | "postgresql":
            return SqlStore.open(config.sessions.store.reveal(), tasks=tasks, now=time.time)
        case kind:
            raise StoreUnavailable(f"sessions in {kind} cannot be ended from here yet")
