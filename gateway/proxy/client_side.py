"""What an exchange asks of the connection that its client is on."""

from collections.abc import Callable
from typing import Protocol

from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import UpstreamConnection
from gateway.request import Request


class Ended(Protocol):
    """The exchange, as far as its connection must know it once it is over."""

    keep_alive: bool


class ClientSide(Protocol):
    """The client half of an exchange."""

    version: str

    @property
    def speaks_chunked(self) -> bool:
        """Whether the client understands chunked framing: HTTP/1.1 does."""

    def forwarding_lines(self, request: Request) -> bytes:
        """Return the lines that tell an upstream of this client, each begun by CRLF."""

    def connection_line(self, *, keep_alive: bool) -> bytes:
        """Return the Connection header if one is needed, and the end of the head."""

    def write(self, data: bytes) -> None: ...

    def send_continue(self) -> None: ...

    def want_body(self) -> None:
        """Read on: there is somebody to take the request's body."""

    def pause_body(self) -> None:
        """Read no more of the request's body for now."""

    def drains(self, *, however_much: bool = False) -> bool:
        """Whether the rest of the request's body will be read and dropped: little, or any."""

    def begin_tunnel(
        self,
        upstream: UpstreamConnection,
        head: bytes,
        data: bytes,
        over: Callable[[int, int], None],
    ) -> Tunnel:
        """Send *head* and *data*, and let every byte through from now on.

        *over* is told how many bytes came from the client, and from the app.
        """

    def finished(self, exchange: Ended, *, broken: bool) -> None:
        """The exchange is over; *broken*: what was sent is not whole, so close rudely."""
