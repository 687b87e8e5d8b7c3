"""A connection before its first request: a PROXY header is read, a TLS handshake done.

Until then it is a connection like any other: counted, and closed when it takes too long. A header
comes before the handshake, and is read up to its end and no further, so that TLS begins with its
first byte. What brings no header of a trusted proxy never gets an answer.
"""

import asyncio
import socket
import ssl
from abc import abstractmethod
from typing import Final

from gateway.pipeline import Reason
from gateway.proxy import answers
from gateway.proxy.client import ClientConnection
from gateway.proxy.client_wire import peer_address, written_address
from gateway.proxy.incoming import is_trusted
from gateway.proxy.listening import Listening
from gateway.proxy.proxy_header import BadProxyHeader, missing, says_tls, source_of
from gateway.proxy.tls import TlsTransport

_SECONDS_AT_THE_END: Final = 2.0


class _Arriving:
    """What a connection is to the listener as long as it cannot ask for anything."""

    __slots__ = ("_listening", "deadline", "drained", "peer")

    def __init__(self, listening: Listening) -> None:
        self.peer = ""
        # A handshake is a head that is not read yet, and so is a PROXY header.
        self.deadline = listening.deadlines.now + listening.plane.limits.head_timeout
        self.drained = False
        self._listening = listening

    @property
    def idle(self) -> bool:
        return True

    @property
    def is_tunnel(self) -> bool:
        return False

    def expired(self) -> None:
        self.abort()

    def drain(self) -> None:
        """It was here in time: its one request is answered, when it comes soon."""
        self.drained = True
        self.deadline = min(self.deadline, self._listening.deadlines.now + _SECONDS_AT_THE_END)

    @abstractmethod
    def abort(self) -> None:
        """Close it at once."""

    def over(self) -> None:
        """It is a connection with an owner of its own, or none any more."""
        self._listening.forget(self)


class Arrival(_Arriving):
    """Becomes a ClientConnection, or a Handshake first."""

    __slots__ = ("_connection", "_expects_header", "_proxy", "_task", "_tls")

    def __init__(
        self,
        listening: Listening,
        connection: socket.socket,
        *,
        tls: ssl.SSLContext | None,
        expects_header: bool,
    ) -> None:
        # Of nobody's connections while the header is awaited: a proxy's address stands for many.
        super().__init__(listening)
        self._connection = connection
        self._tls = tls
        self._expects_header = expects_header
        self._proxy = ""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Do what is to be done, beside everything else."""
        peer = peer_of(self._connection)
        trusted = self._listening.plane.trusted_proxies
        if not self._expects_header:
            self.peer = peer
        elif is_trusted(peer, trusted):
            self._proxy = peer
        else:
            self._listening.refused(peer, "it is not in trusted_proxies")
            self._connection.close()
            return
        if self._listening.admit(self).drops:
            self.over()
            self._connection.close()
        else:
            self._task = self._listening.plane.tasks.spawn("arrival", self._arrive())

    def expired(self) -> None:
        if self._expects_header and not self.peer:
            self._listening.refused(self._proxy, "it sent no whole PROXY protocol header in time")
        self.abort()

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # On the way to the first request.

    async def _arrive(self) -> None:
        handed_over = False
        try:
            if self._expects_header and not await self._read_header():
                return
            handed_over = True
            await self._hand_over()
        except BadProxyHeader as refusal:
            self._listening.refused(self._proxy, str(refusal))
        except OSError:
            pass  # it is gone, or speaks no TLS: there is nobody to be told
        finally:
            self.over()
            if not handed_over:
                self._connection.close()

    async def _read_header(self) -> bool:
        """Learn who it is that the proxy speaks for; False where nothing is to come of it."""
        loop = asyncio.get_running_loop()
        head = b""
        while wanted := missing(head):
            data = await loop.sock_recv(self._connection, wanted)
            if not data:
                if head:
                    raise BadProxyHeader("it ended before its PROXY protocol header was whole")
                return False  # who leaves without a word only looked whether the port is open
            head += data
        source = source_of(head)
        self.over()
        self.peer = self._proxy if source is None else source
        if says_tls(head):
            self._listening = self._listening.over_tls
        return not self._listening.admit(self).drops

    async def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._next, self._connection)

    def _next(self) -> asyncio.Protocol:
        if self._tls is None:
            return _Arrived(self._listening, self)
        return shaking_hands(self._listening, self._tls, self)


class Handshake(_Arriving):
    """Becomes a ClientConnection on TLS. *before* it, a PROXY header may have been read."""

    __slots__ = ("_before", "_transport")

    def __init__(self, listening: Listening, before: Arrival | None) -> None:
        super().__init__(listening)
        self._before = before
        self._transport: TlsTransport | None = None

    # As its transport sees it.

    def begun(self, transport: TlsTransport) -> None:
        self._transport = transport
        before, self._before = self._before, None
        if before is not None:
            self.peer, self.deadline, self.drained = before.peer, before.deadline, before.drained
            before.over()
        else:
            self.peer = peer_address(transport)
        if self._listening.admit(self).drops:
            transport.abort()

    def done(self) -> ClientConnection:
        self._transport = None
        return _Arrived(self._listening, self)

    def asked_in_clear(self) -> bytes:
        detail = "This port speaks TLS only: ask again with https."
        return b"".join(answers.last(400, detail, code=Reason.MALFORMED))

    def failed(self) -> None:
        self._transport = None
        self.over()

    # As the listener sees it.

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def shaking_hands(
    listening: Listening, tls: ssl.SSLContext, before: Arrival | None = None
) -> TlsTransport:
    """Return the protocol for a connection that has to begin with a handshake."""
    return TlsTransport(tls, Handshake(listening, before))


class _Arrived(ClientConnection):
    """A connection that takes the place of its arrival."""

    __slots__ = ("_arrival",)

    def __init__(self, listening: Listening, arrival: _Arriving) -> None:
        super().__init__(listening)
        self._arrival: _Arriving | None = arrival
        self.peer = arrival.peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.over()
        super().connection_made(transport)
        if arrival is not None and arrival.drained:
            self.drain()


def peer_of(connection: socket.socket) -> str:
    """Return the address of whoever is connected; empty when it is gone already."""
    if connection.family == socket.AF_UNIX:
        return "unix"
    try:
        return written_address(connection.getpeername())
    except OSError:
        return ""
