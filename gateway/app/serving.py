"""Runs one gateway until a signal ends it.

The first SIGTERM or SIGINT drains: readiness turns 503, requests under way are answered, and what
is open after `limits.drain` is closed. The second waits for nobody. SIGHUP reloads.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine

import uvloop
from aiohttp import web

from gateway.app.gateway import Gateway, running
from gateway.app.generation import BAD_FILES
from gateway.app.libraries import UnfitLibraries
from gateway.app.sockets import CannotListen
from gateway.app.source import Source
from gateway.config.values import Config

_ALLOCATIONS_BETWEEN_COLLECTIONS = 10_000
# Whoever asks twice does not wait for a store that hangs either.
_SECONDS_TO_CLOSE = 3.0

Beside = Callable[[], Awaitable[web.AppRunner]]


async def serve(config: Config, source: Source | None = None, beside: Beside | None = None) -> None:
    """Serve as the only process, and *beside* the gateway another server. Raises as `running`."""
    stopping, hang_up, loop = Stopping(), HangUp(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.asked)
    if source is not None:
        loop.add_signal_handler(signal.SIGHUP, hang_up.heard)
    neighbour = None if beside is None else await beside()
    try:
        async with running(config, source=source) as gateway:
            if gateway.reloading is not None:
                hang_up.reloads(gateway.reloading.spawn)
            await stopping.wait(gateway)
    finally:
        if neighbour is not None:
            await neighbour.cleanup()


def exit_code_of(work: Coroutine[None, None, None]) -> int:
    """Run *work* to its end: 0, or 2 for a bad file and 1 for what is not there, told on stderr."""
    try:
        uvloop.run(work)
    except BAD_FILES as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (CannotListen, UnfitLibraries) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or 'a file'}: {error.strerror or error}\n")
        return 1
    return 0


class HangUp:
    """The wish to reload. One that comes while there is nothing to reload yet is not forgotten."""

    def __init__(self) -> None:
        self._reload: Callable[[], None] | None = None
        self._waiting = False

    def heard(self) -> None:
        """Reload now, or as soon as that is possible."""
        if self._reload is None:
            self._waiting = True
        else:
            self._reload()

    def reloads(self, reload: Callable[[], None]) -> None:
        """Call *reload* from here on."""
        self._reload = reload
        if self._waiting:
            reload()


class Stopping:
    """What became of the wish to stop."""

    def __init__(self) -> None:
        self._wished = asyncio.Event()
        self._gateway: Gateway | None = None

    def asked(self) -> None:
        """Drain; asked again, end at once."""
        if self._wished.is_set():
            self.at_once()
        self.drain()

    def drain(self) -> None:
        """Answer what is under way, and end."""
        self._wished.set()

    def at_once(self) -> None:
        """Wait for no request."""
        self._wished.set()
        asyncio.get_running_loop().call_later(_SECONDS_TO_CLOSE, os._exit, 0)
        if self._gateway is not None:
            self._gateway.foundation.tasks.spawn("cut off", self._gateway.cut_off())

    async def wait(self, gateway: Gateway) -> None:
        """Let *gateway* serve until somebody wishes it to stop."""
        self._gateway = gateway
        _spare_the_collector()
        await self._wished.wait()


def _spare_the_collector() -> None:
    """Keep what is built once out of the cycle collector, and let it look less often.

    A request leaves no cycle behind, yet allocates enough to set the collector off, and it would
    walk through all modules each time (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 10, 10)
