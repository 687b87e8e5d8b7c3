"""The data plane without a socket: transports in memory, an app that records, time by hand.

Everything between two `settle` runs to its end; whatever a real event loop would report is kept
and fails the run.
"""

import asyncio
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count

from gateway.headers.cookies import our_cookies
from gateway.headers.fields import RequestFields, ResponseFields
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.observability.metrics import Metrics
from gateway.observability.observer import Observer
from gateway.pipeline import FORWARD_AUTH, Pipeline, Settings
from gateway.policy.access import Access
from gateway.policy.routes import Route, Routes
from gateway.proxy.client import ClientConnection
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.familiar import FamiliarHeads
from gateway.proxy.listener import Listener
from gateway.proxy.plane import DataPlane, Limits, RenewalUnavailable, Renewed
from gateway.proxy.pool import Pool, PoolLimits, Target
from gateway.proxy.streams import Streams
from gateway.request import Request
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.keys import KeySet, SigningKey

NOW = 1_800_000_000.0
ISSUER = "http://localhost"
_SECRET = b"fuzzing needs the same tokens again"
KEYS = KeySet((SigningKey("k1", "HS256", _SECRET, _SECRET, 0.0),))
COOKIES = our_cookies(secure=False)
IDENTITY = IdentityHeaders()
LIMITS = Limits(head=4096, headers=40, body=20_000)
ROUTES = (
    Route("/auth/verify", FORWARD_AUTH, Access.PUBLIC),
    Route("/public/*", "app", Access.PUBLIC),
    Route("/optional/*", "app", Access.OPTIONAL),
    Route("/small/*", "app", Access.PUBLIC, body_limit=10),
    Route("/*", "app"),
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
# A run that is not quiet after so many turns of the loop never will be.
_MOST_TURNS = 20_000
_MOST_PIECES = 48


class Finding(AssertionError):
    """An invariant does not hold for this input."""


def token(subject: str = "alice", lifetime: float = 900.0, at: float = NOW) -> str:
    signer = Signer(lambda: KEYS, ISSUER, "gateway", lifetime)
    return signer.sign(Principal(subject, groups=("staff",)), "s1", 1, at, None, "t1")[0]


ACCESS = token()
EXPIRED = token(at=NOW - 10_000)
# A few words stand for what no mutation could find; corpora stay short and readable.
_WORDS = {b"@access@": ACCESS.encode(), b"@expired@": EXPIRED.encode()}


def spelled_out(data: bytes) -> bytes:
    """Replace the words that stand for tokens."""
    for word, meaning in _WORDS.items():
        data = data.replace(word, meaning)
    return data


def in_pieces(data: bytes) -> list[bytes]:
    """Cut *data* into pieces, the same each time."""
    rng = random.Random(zlib.crc32(data))
    if len(data) <= _MOST_PIECES:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(rng.sample(range(1, len(data)), rng.randrange(1, _MOST_PIECES)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def settle() -> None:
    """Let everything run that can run without time passing."""
    loop = asyncio.get_running_loop()
    for _ in range(_MOST_TURNS):
        if not loop._ready:  # type: ignore[attr-defined]  # there is no other way to see quiet
            return
        await asyncio.sleep(0)
    raise Finding("the event loop never comes to rest")


class Wire(asyncio.Transport):
    """One end of a connection whose other end is the test."""

    def __init__(self, protocol: asyncio.Protocol, app: "App | None" = None) -> None:
        super().__init__()
        self.protocol = protocol
        self.app = app
        self.written = bytearray()
        self.paused = self.ended = self.closing = self.aborted = self.lost = False

    def write(self, data: bytes) -> None:
        if self.ended and not self.closing:
            raise RuntimeError("write after write_eof")
        if not self.closing:
            self.written += data
            if self.app is not None:
                self.app.wrote(self)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.aborted = self.aborted or not self.closing
        self.close()

    def lose(self) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol  # type: ignore[assignment]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The other end reads everything at once."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default

    async def deliver(self, pieces: Iterable[bytes]) -> int:
        """Hand *pieces* over while they are taken; returns how many bytes were."""
        taken = 0
        for piece in pieces:
            if self.closing or self.paused:
                break
            self.protocol.data_received(piece)
            taken += len(piece)
            await settle()
        return taken

    async def end(self) -> None:
        """The other end sends no more."""
        if not self.closing and not self.paused:
            if not self.protocol.eof_received():
                self.close()
            await settle()


class App:
    """The upstream: *wrote* is called whenever the gateway has written to one of its wires."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def wrote(self, wire: Wire) -> None:
        raise NotImplementedError

    async def connect(self, factory) -> None:
        protocol = factory()
        wire = Wire(protocol, self)
        self.wires.append(wire)
        protocol.connection_made(wire)


@dataclass
class Stage:
    """One gateway, and what the event loop would have reported."""

    app: App
    trusting: bool = False
    reports: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.deadlines, self.tasks = Deadlines(), Tasks()
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: self.reports.append(context)
        )
        pool = Pool(
            "app",
            [Target("app", self.app.connect)],
            PoolLimits(),
            deadlines=self.deadlines,
            tasks=self.tasks,
            fields=_RESPONSE_FIELDS,
        )
        self.listener = Listener(self._plane(pool))

    def _plane(self, pool: Pool) -> DataPlane:
        return DataPlane(
            pipeline=_PIPELINE,
            cookies=COOKIES,
            identity=IDENTITY,
            upstreams={"app": pool},
            limits=LIMITS,
            scheme="http",
            trusted_proxies=(ip_network("127.0.0.0/8"),) if self.trusting else (),
            renew=_renew,
            seen=lambda _authenticated: None,
            now=lambda: NOW,
            monotonic=lambda: self.seconds,
            deadlines=self.deadlines,
            streams=Streams(),
            tasks=self.tasks,
            observer=_OBSERVER,
            new_request_id=map("r{}".format, count(1)).__next__,
            via=b"gw-test",
            request_fields=_REQUEST_FIELDS,
            familiar=FamiliarHeads(),
        )

    def connect(self) -> tuple[ClientConnection, Wire]:
        connection = ClientConnection(self.listener)
        wire = Wire(connection)
        connection.connection_made(wire)
        return connection, wire

    async def wait(self) -> None:
        """Let so much time pass that every deadline is over."""
        for _ in range(8):
            self.seconds += 1000.0
            self.deadlines.now += 1000.0
            for timed in tuple(self.deadlines._timed):
                if timed.deadline <= self.deadlines.now:
                    timed.expired()
                await settle()

    def check(self) -> None:
        """Raise what the event loop was told of, and say what is left over."""
        for report in self.reports:
            raise Finding(report["message"]) from report.get("exception")
        if len(self.tasks):
            raise Finding("a task never ends")
        if len(self.listener):
            raise Finding("a connection is open although all deadlines are over")


def run(coroutine) -> object:
    """Run *coroutine* on an event loop that is kept for the next."""
    return _loop().run_until_complete(coroutine)


_LOOPS: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _LOOPS:
        _LOOPS.append(asyncio.new_event_loop())
    return _LOOPS[0]


async def _renew(refresh_token: str, request: Request) -> Renewed:
    """The word says what becomes of a renewal."""
    del request
    if refresh_token == "good":
        return Renewed(ACCESS, ("accessToken=new; Path=/",), "rotated")
    if refresh_token == "over":
        return Renewed(None, ("accessToken=; Max-Age=0; Path=/",), "reused")
    raise RenewalUnavailable


_REQUEST_FIELDS = RequestFields(IDENTITY.names())
_RESPONSE_FIELDS = ResponseFields()
_OBSERVER = Observer(None, Metrics("test"))
_PIPELINE = Pipeline(
    routes=Routes(ROUTES),
    cookies=COOKIES,
    identity=IDENTITY,
    verify=Verifier(lambda: KEYS, ISSUER, "gateway").verify,
    denies=DenySet().denies,
    settings=Settings("/auth", frozenset({ISSUER})),
)
