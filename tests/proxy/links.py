"""One end of a connection, plain or over TLS, that knows what a text is on the wire unsent.

So that what is sent can stop anywhere: between two records, within one, before their last word.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from tests.proxy.conftest import trusting
from tests.proxy.tls_client import VERSIONS

# "closes" says so first, where there is TLS to say it with; "ends" does not.
Cut = Literal["closes", "ends", "resets", "pauses", "stalls"]
_RESET: Final = struct.pack("ii", 1, 0)
# What stands for the end in what is said: over TLS it is a record too (close_notify).
END: Final = b""


class Link:
    """A plain connection, from either side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._unsent = bytearray()
        self._text = bytearray()

    async def begin(self) -> None:
        """Do what comes before the first byte of text."""

    def wire(self, text: bytes) -> bytes:
        """Return what *text*, or END, is on the wire. Each has to be sent before the next."""
        return text

    def send(self, wire: bytes) -> None:
        """Send *wire*, at the latest before anything is waited for."""
        self._unsent += wire

    async def flush(self) -> None:
        if self._unsent:
            self.writer.write(bytes(self._unsent))
            self._unsent.clear()
            await self.writer.drain()

    # Reading. Raises OSError where the end is none.

    async def read(self) -> bytes:
        """Return some text; b"" at its end."""
        await self.flush()
        return await self.reader.read(65536)

    async def exactly(self, size: int) -> bytes:
        while len(self._text) < size:
            await self._more()
        return self._taken(size)

    async def until(self, mark: bytes) -> bytes:
        while mark not in self._text:
            await self._more()
        return self._taken(self._text.index(mark) + len(mark))

    async def rest(self) -> bytes:
        with suppress(EOFError):
            while True:
                await self._more()
        return self._taken(len(self._text))

    async def _more(self) -> None:
        if not (data := await self.read()):
            raise EOFError(bytes(self._text))
        self._text += data

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._text[:size])
        del self._text[:size]
        return taken

    # Leaving.

    async def leave(self, cut: Cut) -> None:
        """Send no more; except after a reset, the other side may go on."""
        if cut == "closes":
            self.send(self.wire(END))
        await self.flush()
        if cut == "resets":
            self.reset()
        elif cut != "stalls":
            self.writer.write_eof()

    def reset(self) -> None:
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


class TlsLink(Link):
    """A connection over TLS; its client trusts anybody."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
    ) -> None:
        super().__init__(reader, writer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)

    async def begin(self) -> None:
        await self._until_done(self.tls.do_handshake)
        self.send(self._outgoing.read())

    def next_flight(self) -> bytes:
        """Return what the handshake has to say next."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    async def hear(self) -> None:
        """Wait for some of what the other side says in the handshake."""
        await self.flush()
        self._incoming.write(await self.reader.read(65536))

    def wire(self, text: bytes) -> bytes:
        if text == END:
            # Its half of it is done, though the other side's is not yet heard.
            with suppress(ssl.SSLError):
                self.tls.unwrap()
        else:
            self.tls.write(text)
        return self._outgoing.read()

    async def read(self) -> bytes:
        try:
            return await self._until_done(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            return b""

    async def _until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.send(self._outgoing.read())
                await self.flush()
                if data := await self.reader.read(65536):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()


@dataclass(frozen=True)
class Place:
    """Where to cut: behind so many pieces of what is said, and so many bytes of the next.

    Where *inside* is negative, so many bytes of it are missing.
    """

    pieces: int
    inside: int = 0


@dataclass(frozen=True)
class Way:
    """How two are connected: plainly, or by a version of TLS."""

    version: ssl.TLSVersion | None = None

    def __str__(self) -> str:
        return "plain" if self.version is None else self.version.name

    async def dial(self, port: int) -> Link:
        """Connect to *port*. Raises OSError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if self.version is None:
            return Link(reader, writer)
        return TlsLink(reader, writer, _client(self.version))

    def accept(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
    ) -> Link:
        """Return the other end."""
        if self.version is None:
            return Link(reader, writer)
        return TlsLink(reader, writer, context, server_side=True)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Return how one side can be cut off, or held up for a moment."""
        plain: tuple[Cut, ...] = ("closes", "resets", "pauses")
        return plain if self.version is None else (*plain, "ends")

    def pieces(self, text: bytes) -> list[bytes]:
        """Divide *text*: plain into bytes; over TLS into what becomes a few records."""
        size = 1 if self.version is None else 32
        return [text[at : at + size] for at in range(0, len(text), size)]

    def places(self, pieces: int, cut: Cut) -> Iterator[Place]:
        """Return where *pieces* and the END behind them can be cut; over TLS also in a record."""
        insides: Iterable[int] = (0,)
        if self.version is not None:
            # In its header; and before its last byte, unless what comes then may be that byte.
            insides = (0, 1) if cut == "closes" else (0, 1, -1)
        for number in range(pieces + 1):
            for inside in insides:
                yield Place(number, inside)


PLAIN = Way()
OVER_TLS = tuple(map(Way, VERSIONS))
WAYS = (PLAIN, *OVER_TLS)


@lru_cache
def _client(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting(maximum_version=version)
    context.minimum_version = version
    return context
