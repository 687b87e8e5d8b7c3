"""Asks the targets of an upstream now and then whether they are well."""

import asyncio
from typing import Final

from gateway.proxy.heads import HEAD_END, BadResponse, ResponseHead
from gateway.proxy.pool import Pool, Target

_PATIENCE: Final = 5.0
_LONGEST_HEAD: Final = 64 * 1024


async def watch_health(pool: Pool, path: str, interval: float) -> None:
    """Ask every target for *path* each *interval* seconds; what does not answer well is spared."""
    while True:
        for target in pool.targets:
            target.healthy = await _is_well(pool, target, path)
        await asyncio.sleep(interval)


async def _is_well(pool: Pool, target: Target, path: str) -> bool:
    """Whether the answer to a GET is 2xx or 3xx."""
    asked = _Asked(pool)
    try:
        async with asyncio.timeout(_PATIENCE):
            await target.connect(lambda: asked)
            host = pool.host or target.name.encode("latin-1")
            asked.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (
                path.encode("latin-1"), host,
            ))  # fmt: skip
            return 200 <= await asked.status < 400
    except (OSError, ValueError, TimeoutError, BadResponse):
        return False
    finally:
        asked.close()


class _Asked(asyncio.Protocol):
    """Reads the head of one answer."""

    def __init__(self, pool: Pool) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = ResponseHead(pool.fields)
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def ask(self, request: bytes) -> None:
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self.status.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: uvloop's transports are none of asyncio's.
        self._transport = transport  # type: ignore[assignment]  # a stream protocol has no other

    def data_received(self, data: bytes) -> None:
        if self.status.done():
            return
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                self.status.set_exception(BadResponse("too long"))
            return
        try:
            self._head.read(self._buffer[: end + len(HEAD_END)])
            self.status.set_result(self._head.status)
        except BadResponse as error:
            self.status.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionResetError())
