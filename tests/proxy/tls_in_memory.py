"""A client in memory, the transport that does TLS with it, and what is above and below that."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.proxy.tls import TlsTransport


class Below(asyncio.Transport):
    """A transport that keeps what is written to it; *unread* is what its peer has not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.unread = 0
        self.closed = self.aborted = self.ended = self.paused = False

    def write(self, data) -> None:
        assert not self.ended
        self.written.append(bytes(data))

    def writelines(self, list_of_data) -> None:
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.unread + sum(map(len, self.written))


class Above(asyncio.Protocol):
    """A protocol, and the owner that hands the connection to it."""

    def __init__(self) -> None:
        self.heard: list[bytes | str] = []
        self.on_data: Callable[[], None] = lambda: None
        self.drops = self.gives_up = False
        self.keeps_open = True
        self.did_fail = False

    def begun(self, transport) -> None:
        self.transport = transport
        if self.drops:
            transport.abort()

    def done(self) -> asyncio.Protocol:
        return self

    def asked_in_clear(self) -> bytes:
        return b"in clear"

    def failed(self) -> None:
        self.did_fail = True

    def connection_made(self, transport) -> None:
        if self.gives_up:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        self.on_data()

    def eof_received(self) -> bool:
        self.heard.append("end")
        return self.keeps_open

    def pause_writing(self) -> None:
        self.heard.append("pause")

    def resume_writing(self) -> None:
        self.heard.append("resume")

    def connection_lost(self, exc) -> None:
        del exc
        self.heard.append("lost")


class Both:
    """A client in memory, the transport, and what is above and below it."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        client: ssl.SSLContext,
        above: Above | None = None,
        *,
        early: bytes = b"",
    ) -> None:
        """*early* is sent along with the last flight of the handshake."""
        self.above, self.below = above or Above(), Below()
        self.transport = TlsTransport(tls, self.above)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.transport.connection_made(self.below)
        self.shake_hands()
        self.deliver()
        self.shake_hands()
        if early:
            self.client.write(early)
        self.deliver()

    def shake_hands(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.client.do_handshake()

    def deliver(self) -> None:
        """Exchange what each has said."""
        if self.outgoing.pending:
            self.transport.data_received(self.outgoing.read())
        self.incoming.write(b"".join(self.below.written))
        self.below.written.clear()

    def send(self, data: bytes) -> None:
        self.client.write(data)
        self.deliver()

    def end(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.client.unwrap()
        self.deliver()
