"""What a client sends to the TLS of a listener: before the handshake, behind it, and in records.

Nobody gets behind the encryption by mutating bytes, so the input says what the records hold, and
they are written here with the client's keys.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gateway.proxy.tls import TlsTransport
from tests.certificates import make_pair, written
from tests.fuzz.stage import Finding, Wire, in_pieces, run, settle
from tests.proxy.tls_client import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, Forger

# What the first byte of an input says of the rest.
_BEFORE, _BEHIND, _RECORDS = range(3)
# What the first byte of an instruction says; the second is how long the rest of it is.
_KINDS = {0: DATA, 1: ALERT, 2: HANDSHAKE, 3: 99}
_NEW_KEYS, _END, _GARBAGE, _WE_WRITE, _WE_END, _MANY = range(4, 10)
_INSTRUCTIONS = 10
_TIMES = 200


def tls_stream(data: bytes) -> None:
    """Nothing is thrown or kept, and what is heard is what was sent, however it was cut."""
    whole = run(_talk(data, cut=False))
    pieces = run(_talk(data, cut=True))
    if (whole.heard, whole.ends) != (pieces.heard, pieces.ends):
        raise Finding(f"in pieces {pieces!r}, in one {whole!r}")


@dataclass
class Above(asyncio.Protocol):
    """The protocol on TLS: it keeps what it hears, and answers until it is closed."""

    heard: bytes = b""
    ends: int = 0
    lost: int = 0
    shaken: bool = False
    failed_first: bool = False
    sent: list[bytes] = field(default_factory=list)

    def begun(self, transport: TlsTransport) -> None:
        self.transport = transport

    def done(self) -> asyncio.Protocol:
        self.shaken = True
        return self

    def asked_in_clear(self) -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\n\r\n"

    def failed(self) -> None:
        self.failed_first = True

    def data_received(self, data: bytes) -> None:
        if self.ends or self.lost:
            raise Finding("something is heard after the end")
        self.heard += data

    def eof_received(self) -> bool:
        self.ends += 1
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.lost += 1


class Client:
    """A real handshake up to its last flight, and whatever comes then."""

    def __init__(self) -> None:
        server, client, self._key_log = _contexts()
        self.above = Above()
        self.transport = TlsTransport(server, self.above)
        self.wire = Wire(self.transport)
        self.transport.connection_made(self.wire)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client.wrap_bio(self._incoming, self._outgoing)

    async def shake_hands(self) -> Forger:
        self._key_log.write_bytes(b"")
        while not self.above.shaken:
            self._incoming.write(bytes(self.wire.written))
            self.wire.written.clear()
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            await self.wire.deliver([self._outgoing.read()])
        return Forger(self._key_log)

    async def sends(self, ciphertext: bytes, *, cut: bool) -> None:
        await self.wire.deliver(in_pieces(ciphertext) if cut and ciphertext else [ciphertext])
        endpoint = self.transport._endpoint
        # Behind the end nobody reads on.
        if endpoint._incoming.pending and not (self.wire.closing or endpoint.ended):
            raise Finding("ciphertext is left in a buffer")
        if endpoint.outgoing.pending and not self.wire.closing:
            raise Finding("what is to be sent is not")


async def _talk(data: bytes, *, cut: bool) -> Above:
    client, mode, rest = Client(), data[:1], data[1:]
    if mode and mode[0] % 3 == _BEFORE:
        await client.sends(rest, cut=cut)
    elif mode:
        forger = await client.shake_hands()
        if mode[0] % 3 == _BEHIND:
            await client.sends(rest, cut=cut)
        else:
            await _follow(rest, client, forger, cut=cut)
    await client.wire.end()
    client.transport.close()
    await settle()
    above = client.above
    if above.lost + above.failed_first != 1:
        raise Finding(f"it is over {above.lost + above.failed_first} times")
    if above.ends > 1:
        raise Finding("it ends twice")
    return above


async def _follow(data: bytes, client: Client, forger: Forger, *, cut: bool) -> None:
    """Send records as *data* says, and hold what is heard to what was sent."""
    sure, ended, broken = b"", False, False
    for kind, content in _instructions(data):
        if kind in _KINDS or kind == _MANY:
            contents = [content] * (_TIMES if kind == _MANY else 1)
            number = _KINDS.get(kind, DATA)
            ciphertext = b"".join(forger.record(one, number) for one in contents)
        elif kind == _NEW_KEYS:
            ciphertext = forger.key_update()
        elif kind == _END:
            ciphertext = forger.record(CLOSE_NOTIFY, ALERT)
        elif kind == _GARBAGE:
            ciphertext = content
        else:
            client.transport.write(content) if kind == _WE_WRITE else client.transport.write_eof()
            continue
        await client.sends(ciphertext, cut=cut)
        # From the first one on that may be no good, only the order is sure.
        if not (ended or broken) and kind in {0, _MANY} and content:
            sure += b"".join(contents)
        ended = ended or kind == _END or (kind == 1 and content == CLOSE_NOTIFY)
        broken = broken or kind in {1, 2, 3, _GARBAGE} or (kind in {0, _MANY} and not content)
        if not client.above.heard.startswith(sure) and not client.wire.aborted:
            raise Finding(f"{client.above.heard!r} was heard where {sure!r} was sent")
        if ended and not broken and client.above.heard != sure:
            raise Finding("something is heard after the end")


def _instructions(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 1 < len(data):
        length = data[at + 1]
        yield data[at] % _INSTRUCTIONS, data[at + 2 : at + 2 + length]
        at += 2 + length


@lru_cache(1)
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext, Path]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-fuzz-tls-"))
    written(folder, *make_pair("localhost"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.keylog_filename = str(folder / "keys")
    return server, client, folder / "keys"
