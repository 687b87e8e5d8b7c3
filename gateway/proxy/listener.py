"""Accepts client connections, counts them, and sees them out when the gateway stops."""

import asyncio
import ssl
from collections import Counter
from contextlib import suppress
from typing import Final

from gateway.proxy.client import ClientConnection
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listening import Admission, Connection
from gateway.proxy.plane import DataPlane


class Listener:
    """One listening address. *plane* is exchanged at a reload; requests under way keep theirs."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane
        self.deadlines: Deadlines = plane.deadlines
        self.draining = False
        self._connections: set[Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()

    async def listen_tcp(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, *, shared: bool = False
    ) -> int:
        """Listen on *host*:*port* (0: any free one) and return the port.

        *shared*: other processes listen on the same port and the system spreads connections.
        """
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self),
            host,
            port,
            ssl=tls,
            # A handshake is a head that is not read yet.
            ssl_handshake_timeout=self.plane.limits.head_timeout if tls else None,
            backlog=1024,
            reuse_port=shared or None,
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def listen_unix(self, path: str) -> None:
        """Listen on a unix socket."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: ClientConnection(self), path, backlog=1024
        )

    def admit(self, connection: Connection) -> Admission:
        """Count the connection; too many are those in all, or those of one address."""
        limits = self.plane.limits
        self._connections.add(connection)
        self._per_address[connection.peer] += 1
        self.deadlines.watch(connection)
        most = limits.connections_per_address
        return max(
            _judge(len(self._connections), limits.connections),
            _judge(self._per_address[connection.peer], most),
            key=_SEVERITY.index,
        )

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._per_address[connection.peer] -= 1
            if not self._per_address[connection.peer]:
                del self._per_address[connection.peer]
            if self.draining and not self._connections:
                self._empty.set()
        self.deadlines.forget(connection)

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests under way end, and close the rest after *seconds*."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
        for connection in tuple(self._connections):
            connection.abort()

    def __len__(self) -> int:
        return len(self._connections)


_SEVERITY: Final = (Admission.ADMITTED, Admission.TURNED_AWAY, Admission.DROPPED)
# Telling somebody that there is no room takes room too, for a moment: so many may be told at once.
_TOLD_AT_ONCE: Final = 64


def _judge(number: int, most: int | None) -> Admission:
    if most is None or number <= most:
        return Admission.ADMITTED
    return Admission.TURNED_AWAY if number <= most + _TOLD_AT_ONCE else Admission.DROPPED
