"""Stand-ins that keep the contract of the real part, written once."""

import asyncio
import functools
import re
import secrets
from collections.abc import Callable
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


class RecordingUpstream:
    """An app on a real socket that keeps the bytes of every request and answers as it is told.

    *answer* gets the head of a request and returns what is sent back at once: to the head of one
    with a length, to the whole of a chunked one. `received` holds, per connection, all bytes that
    came, `heads` every request that was answered.
    """

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.heads: list[bytes] = []
        self.answer: Callable[[bytes], bytes | None] = lambda _head: OK
        self.close_after_answer = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.StreamWriter, None] = {}
        self._arrived = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def bytes_received(self) -> bytes:
        return b"".join(bytes(received) for received in self.received)

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until *condition* holds; it is looked at whenever something happens here."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    def write(self, data: bytes, connection: int = -1) -> None:
        """Send *data* on a connection, the last one by default."""
        list(self._writers)[connection].write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        self.received.append(mine)
        self._writers[writer] = None
        self._arrived.set()
        answered = 0
        try:
            while data := await reader.read(65536):
                mine += data
                self._arrived.set()
                while (end := mine.find(b"\r\n\r\n", answered)) >= 0:
                    head = bytes(mine[answered : end + 4])
                    after = end + 4 + _length(head)
                    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
                        last = mine.find(b"0\r\n\r\n", end)
                        if last < 0:
                            break
                        after = last + 5
                    answered = after
                    self.heads.append(head)
                    reply = self.answer(head)
                    if reply is not None:
                        writer.write(reply)
                        if self.close_after_answer:
                            await writer.drain()
                            return
        except ConnectionError:
            pass
        finally:
            self._writers.pop(writer, None)
            writer.close()
            self._arrived.set()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0
