"""Accepts client connections, counts them, and sees them out when the gateway stops."""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from functools import partial
from typing import Final

from gateway.counts import Counts, OwnCounts
from gateway.proxy.accepting import Accepting, close_emptied, open_again
from gateway.proxy.arrival import Arrival, shaking_hands
from gateway.proxy.client import ClientConnection
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listening import Admission, Connection, OverTls
from gateway.proxy.plane import DataPlane

BACKLOG = 1024
_log: Final = logging.getLogger("gateway")
# Anybody can cause a refusal as fast as they like: one line may stand for many.
_REFUSALS_EVERY_SECONDS: Final = 60.0


class Listener:
    """One listening address. *plane* is exchanged at a reload; requests under way keep theirs.

    With *proxy_protocol* each connection has to begin with a header of a trusted proxy. Where
    other processes share the port, its connections are limited together with theirs by *counts*.
    """

    def __init__(
        self, plane: DataPlane, *, proxy_protocol: bool = False, counts: Counts | None = None
    ) -> None:
        self.plane = plane
        self._proxy_protocol = proxy_protocol
        self._refusals = 0
        self._refusals_told = -_REFUSALS_EVERY_SECONDS
        self.deadlines: Deadlines = plane.deadlines
        self.draining = False
        self._connections: set[Connection] = set()
        self._counts = OwnCounts() if counts is None else counts
        self._servers: list[asyncio.Server | Accepting] = []
        self._bound: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self._empty = asyncio.Event()
        self.over_tls = OverTls(self)

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on *host*:*port* (0: any free one) and return the port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
        bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await self.listen_on(bound, tls)
        chosen: int = bound.getsockname()[1]
        return chosen

    async def listen_on(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a socket that is bound already, and close it in the end."""
        open_again(bound)
        if self._proxy_protocol:
            arrived = partial(self._arrived, tls)
            self._servers.append(Accepting(bound, arrived, BACKLOG))
            return
        loop = asyncio.get_running_loop()
        # The event loop closes its own at once; with this one the last are accepted.
        self._bound.append((bound.dup(), tls))
        listen = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        first = (
            partial(ClientConnection, self) if tls is None else partial(shaking_hands, self, tls)
        )
        server = await listen(first, sock=bound, backlog=BACKLOG)
        self._servers.append(server)

    def _arrived(self, tls: ssl.SSLContext | None, connection: socket.socket) -> None:
        Arrival(self, connection, tls=tls, expects_header=self._proxy_protocol).begin()

    def admit(self, connection: Connection) -> Admission:
        """Count the connection; too many are those in all, or those of one address."""
        limits = self.plane.limits
        self._connections.add(connection)
        self._counts.add(connection.peer)
        self.deadlines.watch(connection)
        in_all = _judge(self._counts.total(), limits.connections, _IN_ALL)
        most = limits.connections_per_address
        if most is None or not connection.peer:
            return in_all
        of_address = _judge(self._counts.of(connection.peer), most, _OF_ADDRESS)
        return max(in_all, of_address, key=_SEVERITY.index)

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._counts.remove(connection.peer)
            if self.draining and not self._connections:
                self._empty.set()
        self.deadlines.forget(connection)

    def refused(self, peer: str, why: str) -> None:
        """Tell the log of it, of many at once in one line."""
        self._refusals += 1
        now = self.deadlines.now
        if now < self._refusals_told + _REFUSALS_EVERY_SECONDS:
            return
        _log.warning(
            "proxy_protocol: closed %d connections since last told; the latest, from %s: %s",
            *(self._refusals, peer or "an unknown address", why),
        )
        self._refusals, self._refusals_told = 0, now

    def send_elsewhere(self) -> None:
        """Go on as before, but tell everybody with their answer that it is the last here."""
        self.draining = True

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests under way end, and close the rest after *seconds*."""
        self.draining = True
        for server in self._servers:
            server.close()
        for bound, tls in self._bound:
            close_emptied(bound, partial(self._arrived, tls))
        self._bound.clear()
        for connection in tuple(self._connections):
            connection.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # One that arrives is none for a moment, until it is another.
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        for connection in tuple(self._connections):
            connection.abort()

    def __len__(self) -> int:
        return len(self._connections)

    def tunnels(self) -> int:
        """Return how many of the connections were upgraded. Looks at each."""
        return sum(connection.is_tunnel for connection in self._connections)


_IN_ALL: Final = (Admission.TURNED_AWAY, Admission.DROPPED)
_OF_ADDRESS: Final = (Admission.ONE_TOO_MANY, Admission.ONE_DROPPED)
_SEVERITY: Final = (
    Admission.ADMITTED,
    Admission.TURNED_AWAY,
    Admission.ONE_TOO_MANY,
    Admission.DROPPED,
    Admission.ONE_DROPPED,
)
# Waiting for somebody to read that there is no room takes room too: so many are waited for at once.
_WAITED_FOR_AT_ONCE: Final = 64


def _judge(number: int, most: int, refusals: tuple[Admission, Admission]) -> Admission:
    if number <= most:
        return Admission.ADMITTED
    return refusals[number > most + _WAITED_FOR_AT_ONCE]
