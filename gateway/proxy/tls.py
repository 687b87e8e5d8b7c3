"""TLS on a listener's connection: a transport for the protocol above, a protocol for the one below.

It holds nothing itself. What the protocol above writes is encrypted and in the transport below when
`write` returns, and what a read brought is above before the next one; so pausing and limits are
those of the transport below. Unlike the event loops' own TLS it closes one half at a time: a client
that has said that it sends no more (close_notify) is still answered.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Protocol

from gateway.proxy.tls_endpoint import PIECE, TlsEndpoint

# What OpenSSL calls GET, HEAD, POST or PUT where a handshake should begin.
_REQUEST_IN_CLEAR = "HTTP_REQUEST"
# Some messages of TLS are answered, and whoever sends many may read none of the answers.
_REPLIES_UNREAD = 256 * 1024


class Owner(Protocol):
    """Who looks after a connection until its handshake is done."""

    def begun(self, transport: "TlsTransport") -> None:
        """The connection is there; it has no protocol yet."""

    def done(self) -> asyncio.Protocol:
        """The handshake is done: return who goes on from here."""

    def asked_in_clear(self) -> bytes:
        """There is a request in place of a handshake: return what it is answered, in clear."""

    def failed(self) -> None:
        """The connection is closed, and there was no handshake."""


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """As a protocol, it belongs on a connection's plain transport."""

    __slots__ = (
        *("_below", "_closing", "_cut", "_end_told", "_endpoint", "_finished", "_owner"),
        *("_paused", "_protocol"),
    )
    _below: asyncio.Transport

    def __init__(self, context: ssl.SSLContext, owner: Owner) -> None:
        self._endpoint = TlsEndpoint(context)
        self._owner: Owner | None = owner
        self._protocol: asyncio.Protocol | None = None
        self._paused = False
        self._end_told = False
        # The peer's half has ended without its word for it.
        self._cut = False
        self._finished = False
        self._closing = False

    # As the transport below sees it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport  # type: ignore[assignment]  # a stream protocol has no other
        if self._owner is not None:
            self._owner.begun(self)

    def data_received(self, data: bytes | memoryview) -> None:
        protocol = self._protocol
        if protocol is None:
            self._shake_hands(data)
            return
        endpoint = self._endpoint
        plain = endpoint.decrypt(data)
        if plain:
            protocol.data_received(plain)
        if endpoint.ended or endpoint.broken or endpoint.laborious or endpoint.outgoing.pending:
            self._after_the_unusual()

    def eof_received(self) -> bool:
        """The peer has closed its half, which is no surprise when it has said so before."""
        if self._protocol is None:
            return False
        if not self._endpoint.ended:
            self._cut_off()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        owner, self._owner = self._owner, None
        protocol, self._protocol = self._protocol, None
        if owner is not None:
            owner.failed()
        elif protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # The handshake, and what else is no data.

    def _shake_hands(self, data: bytes | memoryview) -> None:
        if self._closing:
            return
        endpoint, owner = self._endpoint, self._owner
        try:
            rest = endpoint.shake_hands(data)
        except ssl.SSLError as error:
            # It may speak no TLS at all; if it does, it is told why.
            self._closing = True
            if error.reason == _REQUEST_IN_CLEAR and owner is not None:
                self._below.write(owner.asked_in_clear())
            self._reply()
            self._below.close()
            return
        self._reply()
        if rest is not None and owner is not None:
            self._owner = None
            self._protocol = owner.done()
            self._protocol.connection_made(self)
            if not self._closing:
                self.data_received(rest)

    def _after_the_unusual(self) -> None:
        endpoint = self._endpoint
        if endpoint.outgoing.pending:
            self._reply()
            if self._below.get_write_buffer_size() > _REPLIES_UNREAD:
                self.abort()
        if self._closing:
            return
        if endpoint.broken:
            self._cut_off()
        elif endpoint.ended and self._end_told:
            # It goes on sending, against its own word: nobody listens.
            self._below.pause_reading()
        elif endpoint.ended:
            self._tell_end()
        elif endpoint.laborious:
            endpoint.laborious = False
            self._let_others_have_a_turn()

    def _reply(self) -> None:
        said = self._endpoint.outgoing.read()
        if said and not self._finished:
            self._below.write(said)

    def _tell_end(self) -> None:
        """Tell of the end of the peer's half, once, and not to a protocol that wants a pause."""
        if self._protocol is None or self._closing or self._paused or self._end_told:
            return
        self._end_told = True
        if not self._protocol.eof_received():
            self.close()

    def _cut_off(self) -> None:
        """Nothing more will be heard, though the peer has not said so (RFC 9112 §9.8).

        What it asked for is not for somebody on the way to cut short: it is treated as gone.
        """
        if self._protocol is None or self._closing:
            return
        self._cut = True
        self._protocol.eof_received()
        self.close()

    def _let_others_have_a_turn(self) -> None:
        """Read on in a moment: uvloop reads while there is more."""
        if not self._paused and not self.is_closing():
            self._below.pause_reading()
            asyncio.get_running_loop().call_soon(self._take_a_turn)

    def _take_a_turn(self) -> None:
        if not self._paused and not self.is_closing():
            self._below.resume_reading()

    # As the protocol above sees it.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._finished or self._closing or self._endpoint.broken or not data:
            return
        try:
            if len(data) <= PIECE:
                self._below.write(self._endpoint.encrypt(data))
                return
            view, encrypt = memoryview(data), self._endpoint.encrypt
            pieces = [encrypt(view[at : at + PIECE]) for at in range(0, len(view), PIECE)]
            # In one system call: one for each piece would cost a fifth of a download.
            self._below.writelines(pieces)
        except ssl.SSLError:
            self.abort()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return not self._cut

    def write_eof(self) -> None:
        """Say that no more is sent, and close our half; what the peer sends may still be read."""
        if not self._finished and not self.is_closing():
            self._say_goodbye()
            self._below.write_eof()

    def close(self) -> None:
        """Deliver what is written and the end of it, then close."""
        if not self._closing:
            self._closing = True
            self._say_goodbye()
            self._below.close()

    def abort(self) -> None:
        self._closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._closing or self._below.is_closing()

    def pause_reading(self) -> None:
        self._paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._below.resume_reading()
        if self._endpoint.ended and not self._end_told:
            asyncio.get_running_loop().call_soon(self._tell_end)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._endpoint.tls
        return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]  # a stream transport has no other

    def get_protocol(self) -> asyncio.BaseProtocol:
        if self._protocol is None:
            raise ValueError("it has none before the handshake, nor after the end")
        return self._protocol

    def _say_goodbye(self) -> None:
        if not self._finished:
            self._finished = True
            if farewell := self._endpoint.farewell():
                self._below.write(farewell)
