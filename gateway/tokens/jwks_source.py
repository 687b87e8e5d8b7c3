"""Fetches another issuer's keys from one configured URL and nowhere else.

A failed fetch keeps the keys known so far, and no token can make the gateway fetch more often than
the rate limit (J6, CVE-2026-48522 and its group).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

import aiohttp
from yarl import URL

from gateway.tasks import Tasks
from gateway.tokens.foreign import BadKeySet, IssuerKeys, key_set

MAX_DOCUMENT = 256 * 1024
TIMEOUT = 5.0
INTERVAL = 300.0
SHORTEST_GAP = 10.0

_LOG = logging.getLogger(__name__)


class FetchFailed(Exception):
    """No new keys this time; the message says why."""


class JwksSource:
    """Keeps the keys at *url* fresh while it runs. *clock* never steps back (monotonic seconds)."""

    def __init__(
        self,
        url: str,
        algorithms: Sequence[str],
        *,
        clock: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        interval: float = INTERVAL,
        shortest_gap: float = SHORTEST_GAP,
        timeout: float = TIMEOUT,
    ) -> None:
        """*changed* is called when keys came or went: what they verified must be asked again."""
        self._url = _checked(url)
        self._algorithms = tuple(algorithms)
        self._clock = clock
        self._changed = changed
        self._interval = interval
        self._shortest_gap = shortest_gap
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._keys: IssuerKeys | None = None
        self._last_fetch = float("-inf")
        self._wanted = asyncio.Event()

    def start(self, tasks: Tasks) -> asyncio.Task[None]:
        """Keep the keys fresh until what is returned is cancelled."""
        return tasks.spawn(f"keys of {self._url.host}", self._stay_fresh())

    def keys(self) -> IssuerKeys | None:
        return self._keys

    def missed(self) -> None:
        if self._clock() - self._last_fetch >= self._shortest_gap:
            self._wanted.set()

    async def fetch(self) -> None:
        """Fetch once. Raises FetchFailed and keeps the keys there were."""
        self._last_fetch = self._clock()
        self._wanted.clear()
        try:
            keys = key_set(await self._document(), self._algorithms)
        except TimeoutError:
            raise FetchFailed(f"{self._url}: no answer in time") from None
        except (aiohttp.ClientError, OSError, BadKeySet) as error:
            raise FetchFailed(f"{self._url}: {error}") from error
        if keys != self._keys:
            self._keys = keys
            self._changed()

    async def _stay_fresh(self) -> None:
        failure = ""
        while True:
            pause = self._interval
            try:
                await self.fetch()
                failure = ""
            except FetchFailed as error:
                pause = self._shortest_gap
                if str(error) != failure:
                    failure = str(error)
                    _LOG.warning("the keys of an accepted issuer stay as they were: %s", failure)
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _document(self) -> bytes:
        # One session per fetch: no connection, cookie or redirect survives to the next, and the
        # environment names no proxy.
        async with (
            aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.get(
                self._url,
                allow_redirects=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise FetchFailed(f"{self._url}: answered {answer.status}")
            document = bytearray()
            async for piece in answer.content.iter_any():
                document += piece
                if len(document) > MAX_DOCUMENT:
                    raise FetchFailed(f"{self._url}: longer than {MAX_DOCUMENT} bytes")
            return bytes(document)


def _checked(url: str) -> URL:
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"keys are fetched by http or https, not from {url!r}")
    return parsed
