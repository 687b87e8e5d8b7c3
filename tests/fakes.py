"""Stand-ins that keep the contract of the real part, written once."""

import asyncio
import functools
import secrets
from dataclasses import dataclass, field
from typing import Any

from gateway.identity.principal import Principal
from gateway.identity.provider import LoginRefused, ProviderUnavailable
from gateway.identity.users import User, UsernameTaken
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


@dataclass
class FakeProvider:
    """A login provider that knows a few people, and can be switched off or made to disable some."""

    people: dict[str, tuple[str, Principal]]
    available: bool = True
    disabled: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def authenticate(self, username: str, password: str) -> Principal:
        self.asked.append(username)
        self._reach()
        expected, principal = self.people.get(username, ("", Principal("")))
        if not expected or password != expected or principal.subject in self.disabled:
            raise LoginRefused
        return principal

    async def current(self, principal: Principal) -> Principal | None:
        self._reach()
        for _, person in self.people.values():
            if person.subject == principal.subject and person.subject not in self.disabled:
                return person
        return None

    async def holds(self, username: str) -> bool:
        self._reach()
        return any(person.subject == username for _, person in self.people.values())

    def _reach(self) -> None:
        if not self.available:
            raise ProviderUnavailable


class MemoryUsers:
    """Users in a dict: a source that takes new ones, and may be out of reach."""

    def __init__(self) -> None:
        self.known: dict[str, User] = {}
        self.available = True

    async def find(self, username: str) -> User | None:
        self._reach()
        return self.known.get(username)

    async def add(self, user: User) -> None:
        self._reach()
        if user.principal.subject in self.known:
            raise UsernameTaken(user.principal.subject)
        self.known[user.principal.subject] = user

    def decoys(self) -> list[str]:
        return []

    def _reach(self) -> None:
        if not self.available:
            raise ProviderUnavailable("down")
