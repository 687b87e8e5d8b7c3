"""Asks the targets of an upstream now and then whether they are well.

Each is asked by itself: one that hangs delays nobody's turn. Only several answers in a row turn a
verdict, so that one answer that is late takes nobody out of service.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from gateway.proxy.balancing import Target
from gateway.proxy.failure import is_our_own
from gateway.proxy.heads import HEAD_END, BadResponse, ResponseHead
from gateway.proxy.pool import Pool

_LOG: Final = logging.getLogger(__name__)
_LONGEST_HEAD: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """What targets are asked, every *interval* seconds, and how many answers turn the verdict."""

    path: str
    interval: float = 5.0
    timeout: float = 5.0
    unhealthy_after: int = 3
    healthy_after: int = 2


class Verdict:
    """Whether a target is well, by what it answered. The first answer decides alone."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._healthy: bool | None = None
        self._against = 0

    def heard(self, *, well: bool) -> bool:
        """Count an answer, and return whether the target is healthy now."""
        self._against = 0 if well is self._healthy else self._against + 1
        enough = self._check.healthy_after if well else self._check.unhealthy_after
        if self._healthy is None or self._against >= enough:
            self._healthy = well
            self._against = 0
        return self._healthy


async def watch_health(pool: Pool, check: Check) -> None:
    """Ask every target for ever; what does not answer well is spared."""
    async with asyncio.TaskGroup() as watching:
        for target in pool.targets:
            watching.create_task(_watch(pool, target, check))


async def _watch(pool: Pool, target: Target, check: Check) -> None:
    verdict = Verdict(check)
    while True:
        problem = await _problem(pool, target, check)
        healthy = verdict.heard(well=problem is None)
        if healthy and not target.healthy:
            target.failures = 0
            _LOG.info("upstream %s: target %s is well again", pool.name, target.name)
        elif target.healthy and not healthy:
            _LOG.warning("upstream %s: target %s is not well: %s", pool.name, target.name, problem)
        target.healthy = healthy
        await asyncio.sleep(check.interval)


async def _problem(pool: Pool, target: Target, check: Check) -> str | None:
    """Return what is wrong with the answer to a GET, None where it is 2xx or 3xx."""
    asked = _Asked(pool)
    try:
        async with asyncio.timeout(check.timeout):
            await target.connect(lambda: asked)
            host = target.host or pool.host or target.authority
            asked.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (
                check.path.encode("latin-1"), host,
            ))  # fmt: skip
            status = await asked.status
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - whatever it is, the next question must be asked
        if is_our_own(error) and target.healthy:
            return None  # nobody was asked
        return str(error) or type(error).__name__
    finally:
        asked.close()
    return None if 200 <= status < 400 else f"status {status}"


class _Asked(asyncio.Protocol):
    """Reads the head of one answer, past those that only announce it."""

    def __init__(self, pool: Pool) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = ResponseHead(pool.lines)
        self._buffer = b""
        self._read = 0
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
        self._read += len(data)
        self._buffer += data
        try:
            while (end := self._buffer.find(HEAD_END) + len(HEAD_END)) >= len(HEAD_END):
                self._head.read(self._buffer[:end])
                self._buffer = self._buffer[end:]
                if self._head.status >= 200:
                    self.status.set_result(self._head.status)
                    return
            if self._read > _LONGEST_HEAD:
                self.status.set_exception(BadResponse("too long"))
        except BadResponse as error:
            self.status.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionResetError("closed"))
