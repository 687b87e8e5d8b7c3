"""A data plane on real sockets, with a recording upstream behind it and a renewal that is told."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.headers.cookies import our_cookies
from gateway.headers.fields import RequestFields, ResponseFields
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.observability.metrics import Metrics
from gateway.observability.observer import Observer
from gateway.pipeline import FORWARD_AUTH, Authenticated, Pipeline, Settings
from gateway.policy.access import Access
from gateway.policy.routes import Route, Routes
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listener import Listener
from gateway.proxy.plane import DataPlane, Limits, RenewalUnavailable, Renewed
from gateway.proxy.pool import Pool, PoolLimits, Target
from gateway.proxy.streams import Streams
from gateway.request import Request
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.keys import KeySet, SigningKey
from tests.fakes import FakeClock, RecordingUpstream

_private = ec.generate_private_key(ec.SECP256R1())
KEYS = KeySet((SigningKey("k1", "ES256", _private, _private.public_key(), 0.0),))
ISSUER = "http://localhost"


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

    def token(self, subject="alice", groups=(), session_id="s1", lifetime=900.0) -> str:
        signer = Signer(lambda: KEYS, ISSUER, "gateway", lifetime)
        principal = Principal(subject, groups=groups)
        return signer.sign(principal, session_id, 1, self.clock(), None, "t1")[0]

    def change(self, **changes) -> None:
        """Exchange parts of the plane, as a reload does."""
        self.plane = self.listener.plane = replace(self.plane, **changes)

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
async def world() -> AsyncIterator[World]:
    upstream = RecordingUpstream()
    await upstream.start()
    tasks, deadlines, clock, deny = Tasks(), Deadlines(), FakeClock(), DenySet()
    holder: list[World] = []
    response_fields = ResponseFields()
    identity = IdentityHeaders()
    cookies = our_cookies(secure=False)

    async def renew(token: str, request: Request) -> Renewed:
        del request
        holder[0].renewals.append(token)
        outcome = holder[0].renewal
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def seen(authenticated: Authenticated) -> None:
        holder[0].seen.append(authenticated)

    async def connect(factory) -> object:
        return await asyncio.get_running_loop().create_connection(
            factory, "127.0.0.1", upstream.port
        )

    plane = DataPlane(
        pipeline=Pipeline(
            routes=Routes(routes()),
            cookies=cookies,
            identity=identity,
            verify=Verifier(lambda: KEYS, ISSUER, "gateway").verify,
            denies=deny.denies,
            settings=Settings("/auth", frozenset({ISSUER})),
        ),
        cookies=cookies,
        identity=identity,
        upstreams={
            "app": Pool(
                "app",
                [Target("app", connect)],
                PoolLimits(connect_timeout=1.0),
                deadlines=deadlines,
                tasks=tasks,
                fields=response_fields,
            )
        },
        limits=Limits(),
        scheme="http",
        trusted_proxies=(),
        renew=renew,
        seen=seen,
        now=clock,
        monotonic=time.monotonic,
        deadlines=deadlines,
        streams=Streams(),
        tasks=tasks,
        observer=Observer(None, Metrics(clock)),
        new_request_id=map("r{}".format, itertools.count(1)).__next__,
        via=b"gw-test",
        request_fields=RequestFields(identity.names()),
    )
    deadlines.start()
    listener = Listener(plane)
    port = await listener.listen_tcp("127.0.0.1", 0)
    world = World(port, upstream, listener, plane, clock, deny, tasks)
    holder.append(world)
    yield world
    await listener.drain(0.0)
    for pool in plane.upstreams.values():
        pool.close()
    deadlines.stop()
    await tasks.close()
    await upstream.stop()
