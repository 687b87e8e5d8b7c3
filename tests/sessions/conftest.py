"""Every store, with real servers behind it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis import Redis as Client
from redis.asyncio.cluster import RedisCluster

from gateway.sessions.memory import MemoryStore
from gateway.sessions.redis import RedisStore
from gateway.sessions.sql import SqlStore
from gateway.tasks import Tasks
from tests.sessions.servers import ClusterSet, Postgres, Redis, SentinelSet, tls_redis


class Backend:
    """One place where sessions are kept; `open` gives what each replica uses of it."""

    def __init__(self, make: Callable[[Tasks], object]) -> None:
        self._make = make
        self.tasks = Tasks()
        self._stores = []

    def open(self):
        store = self._make(self.tasks)
        self._stores.append(store)
        return store

    async def close(self):
        for store in self._stores:
            await store.close()
        await self.tasks.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def redis_alone() -> Iterator[Redis]:
    with Redis.running() as server:
        yield server


@pytest.fixture(scope="session")
def redis_client(redis_alone: Redis) -> Iterator[Client]:
    client = Client.from_url(redis_alone.url, decode_responses=True)
    yield client
    client.close()


@pytest.fixture(scope="session")
def redis_tls() -> Iterator[Redis]:
    with tls_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[SentinelSet]:
    with SentinelSet.running() as servers:
        yield servers


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[ClusterSet]:
    with ClusterSet.running() as servers:
        yield servers


def memory(_request):
    shared = MemoryStore(time.time)
    return lambda _tasks: shared


def sqlite(request):
    path = request.getfixturevalue("tmp_path") / "data" / "gateway.db"
    return lambda tasks: SqlStore.open(f"sqlite:///{path}", tasks=tasks, now=time.time)


def postgresql(request):
    server = request.getfixturevalue("postgres")
    return lambda tasks: SqlStore.open(server.url, tasks=tasks, now=lambda: 0.0)


async def empty_postgresql(request):
    import asyncpg

    connection = await asyncpg.connect(request.getfixturevalue("postgres").url)
    await connection.execute("DROP TABLE IF EXISTS gateway_sessions, gateway_revocations")
    await connection.close()


def redis_by(name):
    def make(request):
        url = request.getfixturevalue(name).url
        return lambda tasks: RedisStore.open(url, tasks=tasks, deadline=2.0)

    return make


async def empty_redis(store):
    """Forget everything on every node."""
    client = await store._reach(store._clients.commands)
    if isinstance(client, RedisCluster):
        await client.flushall(target_nodes=RedisCluster.PRIMARIES)
    else:
        await client.flushall()


REDIS = ("redis_alone", "redis_tls", "redis_sentinel", "redis_cluster")
BACKENDS = {
    "memory": memory,
    "sqlite": sqlite,
    "postgresql": postgresql,
    **{name: redis_by(name) for name in REDIS},
}


@pytest.fixture(params=list(BACKENDS))
async def backend(request) -> AsyncIterator[Backend]:
    make = BACKENDS[request.param](request)
    backend = Backend(make)
    backend.name = request.param
    if request.param == "postgresql":
        await empty_postgresql(request)
    if request.param in REDIS:
        await empty_redis(backend.open())
    yield backend
    async with asyncio.timeout(10):
        await backend.close()


@pytest.fixture
def store(backend):
    return backend.open()
