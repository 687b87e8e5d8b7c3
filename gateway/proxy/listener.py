"""Accepts client connections, counts them, and sees them out when the gateway stops."""

import asyncio
import socket
import ssl
from collections import Counter
from contextlib import suppress
from typing import Final

from gateway.proxy.client import ClientConnection
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listening import Admission, Connection
from gateway.proxy.plane import DataPlane

BACKLOG = 1024


class Listener:
    """One listening address. *plane* is exchanged at a reload; requests under way keep theirs."""

    def __init__(self, plane: DataPlane) -> None:
        self.plane = plane
        self.deadlines: Deadlines = plane.deadlines
        self.draining = False
        self._connections: set[Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on *host*:*port* (0: any free one) and return the port."""
        server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self),
            host,
            port,
            ssl=tls,
            # A handshake is a head that is not read yet.
            ssl_handshake_timeout=self.plane.limits.head_timeout if tls else None,
            backlog=BACKLOG,
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def listen_on(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a socket that is bound already, and close it in the end."""
        loop = asyncio.get_running_loop()
        listen = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        self._servers.append(
            await listen(
                lambda: ClientConnection(self),
                sock=bound,
                ssl=tls,
                ssl_handshake_timeout=self.plane.limits.head_timeout if tls else None,
                backlog=BACKLOG,
            )
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
        for server in self._servers:
            server.close()
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
