"""A data plane on real sockets, with a recording upstream behind it and a renewal that is told."""

import asyncio
import itertools
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.headers.cookies import our_cookies
from gateway.headers.fields import RequestFields, ResponseFields
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.observability.access_log import FinishedRequest
from gateway.observability.audit import AuditEvent
from gateway.observability.metrics import Metrics
from gateway.observability.observer import Observer
from gateway.pipeline import FORWARD_AUTH, Authenticated, Pipeline, Settings
from gateway.policy.access import Access
from gateway.policy.routes import Route, Routes
from gateway.proxy import client_wire
from gateway.proxy import deadlines as clock_hand
from gateway.proxy.balancing import Target
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listener import Listener
from gateway.proxy.plane import DataPlane, Limits, RenewalUnavailable, Renewed
from gateway.proxy.pool import Pool, PoolLimits
from gateway.proxy.streams import Streams
from gateway.request import Request
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.keys import KeySet, SigningKey
from tests.certificates import make_pair, written
from tests.fakes import FakeClock, RecordingUpstream

_private = ec.generate_private_key(ec.SECP256R1())
KEYS = KeySet((SigningKey("k1", "ES256", _private, _private.public_key(), 0.0),))
ISSUER = "http://localhost"
LOOPBACK = (ip_network("127.0.0.1"),)


def pytest_asyncio_loop_factories() -> dict:
    """Run each test on both event loops: uvloop is the one that serves."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Observed(Observer):
    """An observer that keeps what it is told."""

    def __init__(self, access_log, metrics) -> None:
        super().__init__(access_log, metrics)
        self.logs_requests = True
        self.requests: list[FinishedRequest] = []
        self.events: list[AuditEvent] = []
        self.failures: list[tuple[str, str]] = []
        self.upstream_error = lambda upstream, kind: self.failures.append((upstream, kind))

    def request_finished(self, request) -> None:
        super().request_finished(request)
        self.requests.append(request)

    def event(self, event: AuditEvent) -> None:
        super().event(event)
        self.events.append(event)

    @property
    def decisions(self) -> list[str]:
        return [request.decision for request in self.requests]


async def until(condition, seconds=10.0) -> None:
    """Wait until *condition* holds. It is about this process, so that looking costs nothing."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def connecting_to(upstream: RecordingUpstream):
    async def connect(factory) -> object:
        return await asyncio.get_running_loop().create_connection(
            factory, "127.0.0.1", upstream.port
        )

    return connect


class Client:
    """One connection to the gateway, in raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def answer(self) -> bytes:
        """Read one answer with a length."""
        head = await self.head()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return head + await self.read(int(length[1]) if length else 0)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Leave as one does who is killed."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class World:
    """Everything a test of the data plane touches."""

    port: int
    upstream: RecordingUpstream
    listener: Listener
    plane: DataPlane
    clock: FakeClock
    deny: DenySet
    tasks: Tasks
    renewals: list[str] = field(default_factory=list)
    seen: list[Authenticated] = field(default_factory=list)
    renewal: Renewed | Exception = field(default_factory=RenewalUnavailable)
    reports: list[dict] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    observed: Observed = field(default_factory=lambda: Observed(None, Metrics("test")))
    renewing: asyncio.Event = field(default_factory=asyncio.Event)
    may_renew: asyncio.Event = field(default_factory=asyncio.Event)

    def token(self, subject="alice", groups=(), session_id="s1", lifetime=900.0) -> str:
        signer = Signer(lambda: KEYS, ISSUER, "gateway", lifetime)
        principal = Principal(subject, groups=groups)
        return signer.sign(principal, session_id, 1, self.clock(), None, "t1")[0]

    def change(self, **changes) -> None:
        """Exchange parts of the plane, as a reload does."""
        self.plane = self.listener.plane = replace(self.plane, **changes)

    def limit(self, **limits) -> None:
        self.change(limits=replace(self.plane.limits, **limits))

    def route(self, *routes: Route, **settings) -> None:
        """Serve *routes* instead of the usual ones."""
        self.change(pipeline=self.pipeline(routes, **settings))

    def pipeline(self, routes, **settings) -> Pipeline:
        return Pipeline(
            routes=Routes(routes),
            cookies=our_cookies(secure=False),
            identity=IdentityHeaders(),
            verify=Verifier(lambda: KEYS, ISSUER, "gateway").verify,
            denies=self.deny.denies,
            settings=Settings("/auth", frozenset({ISSUER}), **settings),
        )

    def serve_from(self, *targets: Target, name="app", **options) -> Pool:
        """Exchange the upstream for one of *targets*. Options of Pool, or of PoolLimits."""
        limits = {
            option: options.pop(option)
            for option in ("connections", "queue", "connect_timeout")
            if option in options
        }
        pool = Pool(
            name,
            targets or [Target("app", connecting_to(self.upstream))],
            PoolLimits(**{"connect_timeout": 1.0} | limits),
            deadlines=self.plane.deadlines,
            tasks=self.tasks,
            fields=ResponseFields(),
            **options,
        )
        self.pools.append(pool)
        self.change(upstreams={**self.plane.upstreams, name: pool})
        return pool

    async def connect(self, **options) -> Client:
        """Open a connection to the gateway. Options of `open_connection`."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client

    async def quiet(self) -> None:
        """Wait until no client connection is left."""
        await until(lambda: len(self.listener) == 0)

    async def send(self, raw: bytes, *, half_close=False, wait=5.0) -> bytes:
        """Send raw bytes on a fresh connection and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(raw)
        if half_close:
            writer.write_eof()
        try:
            async with asyncio.timeout(wait):
                return await reader.read()
        finally:
            writer.close()


def routes() -> list[Route]:
    return [
        Route("/auth/verify", FORWARD_AUTH, Access.PUBLIC),
        Route("/public/*", "app", Access.PUBLIC),
        Route("/optional/*", "app", Access.OPTIONAL),
        Route("/stripped/*", "app", Access.PUBLIC, strip_prefix="/stripped"),
        Route("/small/*", "app", Access.PUBLIC, body_limit=10),
        Route("/*", "app"),
    ]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-closed clients are looked after at every tick of the clock."""
    monkeypatch.setattr(client_wire, "HALF_CLOSED_SECONDS", 0.01)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A gateway on a real socket. Whatever is reported to the event loop fails the test."""
    # What waits for a tick here waits for nothing else.
    monkeypatch.setattr(clock_hand, "TICK_SECONDS", 0.02)
    upstream = RecordingUpstream()
    await upstream.start()
    tasks, deadlines, clock, deny = Tasks(), Deadlines(), FakeClock(), DenySet()
    deadlines.start()
    identity = IdentityHeaders()
    world = World(0, upstream, None, None, clock, deny, tasks)
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: world.reports.append(context)
    )

    async def renew(token: str, request: Request) -> Renewed:
        del request
        world.renewals.append(token)
        world.renewing.set()
        await world.may_renew.wait()
        if isinstance(world.renewal, Exception):
            raise world.renewal
        return world.renewal

    plane = DataPlane(
        pipeline=world.pipeline(routes()),
        cookies=our_cookies(secure=False),
        identity=identity,
        upstreams={},
        limits=Limits(),
        scheme="http",
        trusted_proxies=(),
        renew=renew,
        seen=world.seen.append,
        now=clock,
        monotonic=time.monotonic,
        deadlines=deadlines,
        streams=Streams(),
        tasks=tasks,
        observer=world.observed,
        new_request_id=map("r{}".format, itertools.count(1)).__next__,
        via=b"gw-test",
        request_fields=RequestFields(identity.names()),
    )
    world.listener = Listener(plane)
    world.may_renew.set()
    world.plane = plane
    world.serve_from()
    world.port = await world.listener.listen_tcp("127.0.0.1", 0)
    yield world
    for client in world.clients:
        client.close()
    await world.listener.drain(0.0)
    for pool in world.pools:
        pool.close()
    deadlines.stop()
    await tasks.close()
    await upstream.stop()
    assert world.reports == []


@pytest.fixture
def tls(tmp_path) -> ssl.SSLContext:
    """What the listener shows."""
    written(tmp_path, *make_pair("localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    return context


def trusting(**settings) -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


async def listening(world: World, *, tls=None, proxy_protocol=True, trusted=LOOPBACK) -> None:
    """Put another listener in the place of the usual one."""
    await world.listener.drain(0.0)
    world.listener = Listener(world.plane, proxy_protocol=proxy_protocol)
    world.change(trusted_proxies=trusted)
    world.port = await world.listener.listen_tcp("127.0.0.1", 0, tls)


async def over_tls(world: World, header: bytes, **settings) -> Client:
    """Send *header*, do a handshake, and return the connection."""
    connection = await world.connect()
    connection.send(header)
    await connection.writer.start_tls(trusting(**settings), server_hostname="localhost")
    return connection
