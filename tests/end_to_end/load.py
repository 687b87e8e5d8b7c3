"""Clients that never stop asking, and a record of everything that was not as it should be."""

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Origin: {origin}",
)
_PATIENCE_SECONDS = 20.0


@dataclass
class Load:
    """Asks for /x on kept and on fresh connections, uploads, and talks over WebSockets.

    `broken` names each request that got no whole answer. Where a connection is refused the client
    ends: nothing was asked.
    """

    port: int
    lines: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
    kept: int = 40
    fresh: int = 8
    uploading: int = 8
    talking: int = 4
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    farewells: list[bytes] = field(default_factory=list)
    said: int = 0
    refused: int = 0

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    async def _run(self) -> None:
        body = b"x" * 200_000
        clients = [self._ask(b"", keeps=True) for _ in range(self.kept)]
        clients += [self._ask(b"", keeps=False) for _ in range(self.fresh)]
        clients += [self._ask(body, keeps=True) for _ in range(self.uploading)]
        clients += [self._talk() for _ in range(self.talking)]
        await asyncio.gather(*clients)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            return await asyncio.open_connection(
                "127.0.0.1",
                self.port,
                ssl=self.tls,
                server_hostname="localhost" if self.tls else None,
            )
        except ConnectionError:
            self.refused += 1
            return None

    def _head(self, method: str, path: str, *lines: str) -> bytes:
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", *self.lines, *lines, "", ""]
        return "\r\n".join(head).encode()

    async def _ask(self, body: bytes, *, keeps: bool) -> None:
        method, lines = ("POST", (f"Content-Length: {len(body)}",)) if body else ("GET", ())
        request = self._head(method, "/x", *lines) + body
        connected = None
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    connected = connected or await self._connect()
                    if connected is None:
                        return
                    reader, writer = connected
                    writer.write(request)
                    status, closes = await _answer(reader)
            except (OSError, EOFError) as error:
                self.broken.append(f"{method} keeps={keeps}: {error!r}")
                if connected is not None:
                    await _close(connected[1])
                connected = None
                continue
            self.statuses[status] += 1
            if closes or not keeps:
                await _close(writer)
                connected = None
        if connected is not None:
            await _close(connected[1])

    async def _talk(self) -> None:
        """Say something again and again, until the other side says goodbye."""
        origin = "https://localhost" if self.tls else "http://localhost"
        connected = await self._connect()
        if connected is None:
            return
        reader, writer = connected
        upgrade = [line.format(origin=origin) for line in _UPGRADE]
        writer.write(self._head("GET", "/socket", *upgrade))
        await reader.readuntil(b"\r\n\r\n")
        try:
            while not self._stop.is_set():
                writer.write(bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi")
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    first, length = await reader.readexactly(2)
                    payload = await reader.readexactly(length)
                if first == 0x88:
                    self.farewells.append(payload[:2])
                    break
                assert payload == b"echo: hi"
                self.said += 1
                await asyncio.sleep(0.02)
        except (OSError, EOFError) as error:
            self.broken.append(f"WebSocket: {error!r}")
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Return the status, and whether the connection is to be closed."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), b"\r\nconnection: close\r\n" in head
