"""Looks up the names of upstreams, again and again: containers get new addresses.

Each name has a thread of its own while it is looked up, so that a name server that hangs over one
delays no other; and what was known before is used until something newer is known.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Place: TypeAlias = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
LookUp = Callable[[str, int], Sequence[Place]]

FRESH_SECONDS: Final = 2.0
# Who has older addresses does not wait longer for newer ones.
PATIENCE_SECONDS: Final = 0.5


def look_up(host: str, port: int) -> Sequence[Place]:
    """Ask the system. Raises OSError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(slots=True)
class _Name:
    places: Sequence[Place] = ()
    until: float = 0.0
    turn: int = 0
    asking: asyncio.Future[Sequence[Place]] | None = field(default=None)


class Names:
    """Where the names of upstreams are, as far as is known."""

    def __init__(
        self, look_up: LookUp = look_up, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up
        self._now = now
        self._names: dict[tuple[str, int], _Name] = {}

    async def places(self, host: str, port: int) -> Sequence[Place]:
        """Return where to connect to, another place first each time.

        Places of the family that the system prefers come first. Raises OSError for a name that
        nothing is known of.
        """
        name = self._names.setdefault((host, port), _Name())
        if name.until <= self._now():
            await self._refresh(host, port, name)
        name.turn += 1
        return rotated(name.places, name.turn)

    async def _refresh(self, host: str, port: int, name: _Name) -> None:
        asking = asyncio.shield(name.asking or self._begin(host, port, name))
        if not name.places:
            await asking
            return
        with suppress(OSError):  # a timeout is one too
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asking

    def _begin(self, host: str, port: int, name: _Name) -> asyncio.Future[Sequence[Place]]:
        loop = asyncio.get_running_loop()
        asking = name.asking = loop.create_future()
        thread = threading.Thread(
            target=self._ask, args=(host, port, loop, name), name=f"look up {host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # there may be no more threads; later, there may be again
            self._found(name, OSError(f"{host} cannot be looked up: {error}"))
        return asking

    def _ask(self, host: str, port: int, loop: asyncio.AbstractEventLoop, name: _Name) -> None:
        found: Sequence[Place] | OSError
        try:
            found = self._look_up(host, port)
        except OSError as error:
            found = error
        except Exception as error:  # noqa: BLE001 - those who wait must hear of it, whatever it is
            found = OSError(f"{host} cannot be looked up: {error}")
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(self._found, name, found)

    def _found(self, name: _Name, found: Sequence[Place] | OSError) -> None:
        asking, name.asking = name.asking, None
        if not isinstance(found, OSError):
            name.places = found
        # A failure is remembered as long: a name server in trouble is not asked without a pause.
        name.until = self._now() + FRESH_SECONDS if name.places else 0.0
        if asking is None or asking.cancelled():
            return
        if isinstance(found, OSError):
            asking.set_exception(found)
            asking.exception()  # nobody may be waiting any more
        else:
            asking.set_result(found)


def rotated(places: Sequence[Place], turn: int) -> Sequence[Place]:
    """Begin with another one of the first place's family at each *turn*."""
    if not places:
        return places
    preferred = [place for place in places if place[0] == places[0][0]]
    others = [place for place in places if place[0] != places[0][0]]
    first = turn % len(preferred)
    return [*preferred[first:], *preferred[:first], *others]
