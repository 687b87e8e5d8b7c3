"""Every store, with real servers behind it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.sessions.memory import MemoryStore
from gateway.sessions.sql import SqlStore
from gateway.tasks import Tasks
from tests.sessions.servers import Postgres


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


BACKENDS = {"memory": memory, "sqlite": sqlite, "postgresql": postgresql}
EMPTY = {"postgresql": empty_postgresql}


@pytest.fixture(params=list(BACKENDS))
async def backend(request) -> AsyncIterator[Backend]:
    make = BACKENDS[request.param](request)
    if request.param in EMPTY:
        await EMPTY[request.param](request)
    backend = Backend(make)
    backend.name = request.param
    yield backend
    async with asyncio.timeout(10):
        await backend.close()


@pytest.fixture
def store(backend):
    return backend.open()
