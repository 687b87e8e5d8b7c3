"""A WebSocket once it is open: bytes both ways, and an end that both sides see.

Every byte that one side sent is delivered before the other side is closed, unless that side reads
no more; and a side that has ended does not outlive the other by more than a few seconds.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from gateway.proxy.deadlines import NEVER, Deadlines
from gateway.proxy.frames import GOING_AWAY, POLICY_VIOLATION, Frames, close_frame
from gateway.proxy.unsent import NOTHING, unsent

# Between the end of one side and the end of the other.
CLOSING_SECONDS: Final = 3.0
# A peer whose machine is gone without a word is found out within three minutes.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1), 60),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1), 30),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1), 4),
)


class Owner(Protocol):
    """Who counts the connection, and hears of its end."""

    def connection_lost(self, exc: Exception | None) -> None: ...


class _Side(asyncio.Protocol):
    """One of the two connections; what it receives goes to the other."""

    __slots__ = (
        *("bytes_received", "ended", "finished", "lost", "other", "owner", "transport", "tunnel"),
    )
    other: "_Side"

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, owner: Owner) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.owner = owner
        self.ended = False
        self.finished = False
        self.lost = False
        self.bytes_received = 0

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        self.other.send(data)

    def send(self, data: bytes) -> None:
        if not self.lost and not self.finished:
            self.transport.write(data)

    def eof_received(self) -> bool:
        """The side sends no more; what the other still sends may be read."""
        self.ended = True
        self.tunnel.side_ended(self.other)
        return not self.lost and self.transport.can_write_eof() and not self.other.ended

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.ended = True
        self.tunnel.side_lost(self.other)
        self.owner.connection_lost(exc)

    def pause_writing(self) -> None:
        if not self.other.lost and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        # A side that has ended has nothing to be read but its end, again.
        if not other.ended and not other.transport.is_closing():
            other.transport.resume_reading()

    def finish(self) -> None:
        """Send no more: deliver what is written, and say so."""
        self.finished = True
        if self.lost or self.transport.is_closing():
            return
        if self.ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def unsent(self) -> int:
        return 0 if self.lost else unsent(self.transport)


class _ClientSide(_Side):
    """Receives what the client sends."""

    __slots__ = ()


class _UpstreamSide(_Side):
    """Receives what the app sends: frames, between which the gateway may say that it leaves."""

    __slots__ = ("farewell", "frames")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, owner: Owner) -> None:
        super().__init__(tunnel, transport, owner)
        self.frames = Frames()
        self.farewell = b""

    def data_received(self, data: bytes) -> None:
        if not self.farewell:
            self.bytes_received += len(data)
            self.frames.feed(data)
            self.other.send(data)
        elif not self.frames.between and (end := self.frames.end_of_frame(data)) >= 0:
            self.bytes_received += end
            self.other.send(data[:end] + self.farewell)
        elif not self.frames.between:
            self.bytes_received += len(data)
            self.other.send(data)

    def leave(self, farewell: bytes) -> None:
        """Send *farewell* to the client after the frame that is under way, and nothing more."""
        if self.farewell:
            return
        self.farewell = farewell
        if self.frames.between:
            self.other.send(farewell)


class Tunnel:
    """Two connections that are one now. *over* is called once, when either of them ends."""

    __slots__ = (
        *("deadline", "_app", "_client", "_deadlines", "_delivered", "_is_over", "_moved"),
        *("_over", "_patience"),
    )

    def __init__(
        self,
        client: tuple[asyncio.Transport, Owner],
        app: tuple[asyncio.Transport, Owner],
        *,
        deadlines: Deadlines,
        patience: float,
        over: Callable[[int, int], None],
    ) -> None:
        self.deadline = NEVER
        self._deadlines = deadlines
        self._patience = patience
        self._over = over
        self._is_over = False
        self._delivered = 0
        self._moved = 0.0
        self._client = _ClientSide(self, *client)
        self._app = _UpstreamSide(self, *app)
        self._client.other, self._app.other = self._app, self._client

    def begin(self, head: bytes, from_app: bytes, from_client: bytes) -> None:
        """Send the answer's *head*, then what each side has sent too early, then all the rest."""
        self._deadlines.watch(self)
        for side in (self._client, self._app):
            _keep_alive(side.transport)
            side.transport.set_protocol(side)
        self._client.send(head)
        if from_app:
            self._app.data_received(from_app)
        if from_client:
            self._client.data_received(from_client)

    def client_ended(self) -> None:
        """The client had ended its half before the tunnel began."""
        self._client.ended = True
        self.side_ended(self._app)

    def drain(self) -> None:
        """Ask the client to leave; what it sends, its goodbye included, still goes to the app."""
        self._app.leave(close_frame(GOING_AWAY, "going away"))
        self._start_closing()

    def cut(self) -> None:
        """The session is over: from now on the app hears nothing from this client."""
        self._app.leave(close_frame(POLICY_VIOLATION, "session ended"))
        if not self._app.lost:
            self._app.transport.abort()
        self._client.finish()
        self._start_closing()

    def abort(self) -> None:
        """Close both at once."""
        for side in (self._client, self._app):
            if not side.lost:
                side.transport.abort()

    # As its two sides see it.

    def side_ended(self, other: _Side) -> None:
        """One side sends no more: the other hears of it after the last byte."""
        other.finish()
        self._start_closing()

    def side_lost(self, other: _Side) -> None:
        """One side is closed: so is the other, once it has everything.

        What it still sends is read and dropped: closing with bytes unread would throw away those
        that it has not got yet.
        """
        if not other.lost:
            other.finish()
            self._start_closing()
        else:
            self.deadline = NEVER
            self._deadlines.forget(self)
        if not self._is_over:
            self._is_over = True
            self._over(self._client.bytes_received, self._app.bytes_received)

    def expired(self) -> None:
        """Closing takes long. As long as bytes are still being read, that is no reason to stop."""
        before = self._delivered
        left = self._look()
        if self._delivered > before:
            self._moved = self._deadlines.now
        elif left <= 2 * NOTHING or self._deadlines.now - self._moved >= self._patience:
            self.abort()

    def _start_closing(self) -> None:
        if self.deadline == NEVER:
            self._moved = self._deadlines.now
            self._look()

    def _look(self) -> int:
        """See how far it is, and look again soon; return how much is not delivered.

        It may be no more than what a peer has not acknowledged yet, and no reason for patience.
        """
        left = self._client.unsent() + self._app.unsent()
        self._delivered = self._client.bytes_received + self._app.bytes_received - left
        self.deadline = self._deadlines.now + min(CLOSING_SECONDS, self._patience)
        return left


def _keep_alive(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family == socket.AF_UNIX:
        return
    for level, option, value in _KEEPALIVE:
        if option >= 0:
            connection.setsockopt(level, option, value)
