"""Stand-ins that keep the contract of the real part, written once."""

import asyncio
import functools
import secrets
from dataclasses import dataclass
from typing import Any

from gateway.sessions.store import StoreUnavailable
from gateway.tokens.key_folder import generate
from gateway.tokens.keys import SigningKey


@dataclass
class FakeClock:
    """A clock that moves only when told to. Seconds since the epoch."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class FlakyStore:
    """A session store before another: it may be down, lose answers and races, or wait."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.down = False
        self.lose_next_answer = False
        self.always_lose = False
        self.held = asyncio.Event()
        self._held_method = ""
        self._released = asyncio.Event()

    def hold(self, method: str) -> None:
        """Let the next call of *method* wait until `release`; `held` tells that it does."""
        self._held_method = method

    def release(self) -> None:
        self._released.set()

    async def swap(self, before: Any, after: Any, announce: Any = None) -> bool:
        if self.always_lose:
            return False
        swapped: bool = await self._pass("swap", before, after, announce)
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise StoreUnavailable("the answer was lost")
        return swapped

    def __getattr__(self, method: str) -> Any:
        return functools.partial(self._pass, method)

    async def _pass(self, method: str, *args: Any) -> Any:
        self.calls.append(method)
        if self.down:
            raise StoreUnavailable("down")
        if self._held_method == method:
            self._held_method = ""
            self.held.set()
            await self._released.wait()
        return await getattr(self.inner, method)(*args)


def signing_key(algorithm: str = "ES256", created: float = 0.0, kid: str = "key-1") -> SigningKey:
    """Return a fresh key of ours; with the default time it signs at once."""
    if algorithm == "HS256":
        secret = secrets.token_bytes(32)
        return SigningKey(kid, algorithm, secret, secret, created)
    private = generate(algorithm)
    return SigningKey(kid, algorithm, private, private.public_key(), created)
