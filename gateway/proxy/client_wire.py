"""The client's end of the wire: writing with flow control, and closing so that answers arrive.

A connection that closes first delivers what was written, however slowly the client reads, as long
as it does read; what the client still sends meanwhile is dropped (RFC 9112 §9.6).
"""

import asyncio
import select
import socket
import struct
from ipaddress import ip_address
from typing import Final

from gateway.proxy.deadlines import NEVER
from gateway.proxy.listening import Listening
from gateway.proxy.unsent import NOTHING, unsent

WRITE_HIGH: Final = 128 * 1024
# A client that has closed its sending half may still be reading; one that is gone looks the same
# until something is sent to it. So often it is looked after.
HALF_CLOSED_SECONDS = 3.0
LINGER_SECONDS: Final = 2.0
# What was delivered is acknowledged a moment later, and nothing tells us then.
_LOOK_SECONDS: Final = 0.5
LINGER_BYTES: Final = 1024 * 1024

# on, 0 seconds: closing sends a reset.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class ClientWire(asyncio.Protocol):
    """What a client connection does with its transport."""

    __slots__ = (
        *("deadline", "peer", "_half_closed", "_lingered", "_listening", "_looks", "_reading"),
        *("_patient_until", "_transport", "_unsent", "_writable"),
    )
    _transport: asyncio.Transport

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self.deadline = NEVER
        self.peer = ""
        self._reading = True
        self._writable = True
        self._half_closed = False
        self._looks = 0
        self._lingered = 0
        self._unsent = 0
        self._patient_until = 0.0

    def _connected(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream protocol has no other
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        # A proxy may have told already.
        self.peer = self.peer or peer_address(transport)

    def write(self, data: bytes) -> None:
        if self._half_closed:
            self._looks = 0
            self._look_again()
        self._transport.write(data)

    # Reading, and not reading.

    def _stop_reading(self) -> None:
        if self._reading and not self._half_closed and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._reading and not self._half_closed and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # A client that has sent all it wants.

    def _look_again(self) -> None:
        self.deadline = self._listening.deadlines.now + HALF_CLOSED_SECONDS

    def _hung_up(self) -> bool:
        """Whether the peer has closed its other half too, or reset the connection.

        The event loop does not tell: it has stopped looking at the end of the file.
        """
        connection = self._transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), 0)
        return bool(poll.poll(0))

    # A client that reads slowly.

    def _expect_progress(self, seconds: float) -> None:
        """Give the client *seconds* to read some of what is written."""
        self._unsent = unsent(self._transport)
        self.deadline = self._listening.deadlines.now + seconds

    def _made_progress(self, seconds: float) -> bool:
        """Whether the client has read since, or was not watched; it has *seconds* for more then."""
        before = self._unsent
        now_unsent = unsent(self._transport)
        if now_unsent > NOTHING and (not before or now_unsent < before):
            self._expect_progress(seconds)
            return True
        return False

    # Closing.

    def _close_when_sent(self, seconds: float) -> bool:
        """Close our half after the last byte; False where all is closed already.

        A connection closed with bytes unread is reset, and the reset may overtake the answer.
        """
        if self._half_closed or not self._transport.can_write_eof():
            self._transport.close()
            self._deliver_within(seconds)
            return False
        self._transport.write_eof()
        self._deliver_within(seconds)
        self._go_on_reading()
        return True

    def _still_delivering(self, seconds: float) -> bool:
        """Whether a closing connection is given more time."""
        before, now_unsent = self._unsent, unsent(self._transport)
        if now_unsent > NOTHING and before <= now_unsent:
            self.deadline = self._listening.deadlines.now + _LOOK_SECONDS
            return self.deadline <= self._patient_until
        if now_unsent <= NOTHING and before <= NOTHING:
            return False
        # All is delivered: a moment for the client to close as well. Or some of it is.
        self._deliver_within(seconds)
        return True

    def _deliver_within(self, seconds: float) -> None:
        """Give the client *seconds* to read some of what is written, and look more often."""
        self._patient_until = self._listening.deadlines.now + seconds
        delivered = unsent(self._transport) <= NOTHING
        self._expect_progress(LINGER_SECONDS if delivered else min(seconds, _LOOK_SECONDS))

    def _drop(self, data: bytes) -> None:
        """Throw away what comes after the last answer; a little, the rest stays in the client."""
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self._stop_reading()

    def _forbid_linger(self) -> None:
        """See to it that closing resets, so that what was sent cannot be taken for whole."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def written_address(name: tuple[object, ...]) -> str:
    """Write the address of a socket's name, as `getpeername` gives it."""
    address = ip_address(str(name[0]).partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def peer_address(transport: asyncio.BaseTransport) -> str:
    """Return the peer's address; an IPv4 address in IPv6 clothes as IPv4 (SECURITY I4).

    `unix` is a peer on a unix socket. A peer that has gone before it was looked at has no address,
    and must not be taken for one.
    """
    peername = transport.get_extra_info("peername")
    if isinstance(peername, tuple):
        return written_address(peername)
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        return "unix"
    return ""
