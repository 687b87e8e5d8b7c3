"""What differs between SQLite and PostgreSQL: connections, clock, and who writes next.

SQLite: write-ahead log, every commit on the disk before it is acknowledged, one writer, a file
that only its owner reads. PostgreSQL: the server's clock, and limits that the server enforces.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, MetaData, event, extract, func, literal, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

# Any number will do, as long as nobody else in that database uses it.
_FEED_LOCK = 0x67_61_74_65_01
_SCHEMA_LOCK = 0x67_61_74_65_02
# Of each connection to SQLite. Every write of another connection empties it anyway, and what it
# would hold is in the system's page cache too: 2 MB each, as SQLite has it, is no faster.
_CACHE_KIB = 256


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach a database. `in_order` makes the transactions that announce go one by one."""

    reader: AsyncEngine
    writer: AsyncEngine
    clock: Callable[[], ColumnElement[int]]
    in_order: Callable[[AsyncConnection], Awaitable[None]]
    prepare: Callable[[MetaData], Awaitable[None]]
    failures: tuple[type[Exception], ...] = ()

    async def close(self) -> None:
        await self.reader.dispose()
        await self.writer.dispose()


def open_database(url: str, now: Callable[[], float], deadline: float) -> Database:
    """Tell from *url* which database it is."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, now, deadline)
    return _open_postgresql(parsed, deadline)


def _open_sqlite(url: URL, now: Callable[[], float], deadline: float) -> Database:
    path = url.database
    if not path or path == ":memory:":
        raise ValueError("sessions in SQLite need a file: sqlite:///path")
    url = url.set(drivername="sqlite+aiosqlite")
    # Give up waiting for another process's write while there is still time to say so.
    connecting = {"timeout": deadline * 0.75}
    reader = create_async_engine(
        url, connect_args=connecting, pool_size=4, max_overflow=0, pool_timeout=deadline
    )
    # One connection: writers of this process queue for it instead of for the file's lock.
    writer = create_async_engine(
        url, connect_args=connecting, pool_size=1, max_overflow=0, pool_timeout=deadline
    )
    for engine, begin in ((reader, "BEGIN"), (writer, "BEGIN IMMEDIATE")):
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begins_with(begin))

    async def in_order(_connection: AsyncConnection) -> None:
        """Nothing to do: SQLite has one writer at a time."""

    async def prepare(metadata: MetaData) -> None:
        _make_private(Path(path))
        async with writer.begin() as connection:
            await connection.run_sync(metadata.create_all)

    return Database(
        reader=reader,
        writer=writer,
        clock=lambda: literal(int(now() * 1000), BigInteger),
        in_order=in_order,
        prepare=prepare,
    )


def _open_postgresql(url: URL, deadline: float) -> Database:
    import asyncpg  # noqa: PLC0415 - an extra that only its users need

    milliseconds = str(int(deadline * 1000))
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=8,
        max_overflow=8,
        pool_timeout=deadline,
        pool_pre_ping=True,
        connect_args={
            "timeout": deadline,
            "command_timeout": deadline,
            "server_settings": {
                "application_name": "gateway",
                "statement_timeout": milliseconds,
                "lock_timeout": milliseconds,
                # A transaction of a gateway that vanished must not hold up the others.
                "idle_in_transaction_session_timeout": milliseconds,
            },
        },
    )

    async def in_order(connection: AsyncConnection) -> None:
        """Number announcements in the order of commits: a sequence alone does not."""
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_FEED_LOCK})"))

    async def prepare(metadata: MetaData) -> None:
        async with engine.begin() as connection:
            # CREATE TABLE IF NOT EXISTS is no protection against doing it twice at once.
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
            await connection.run_sync(metadata.create_all)

    seconds = extract("epoch", func.clock_timestamp())
    return Database(
        reader=engine,
        writer=engine,
        clock=lambda: func.floor(seconds * 1000).cast(BigInteger),
        in_order=in_order,
        prepare=prepare,
        # RuntimeError is how uvloop says that a connection broke between two writes.
        failures=(asyncpg.PostgresError, asyncpg.InterfaceError, RuntimeError),
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    try:
        connection.isolation_level = None  # we say BEGIN ourselves, see _begins_with
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        cursor.close()
    except BaseException:
        # The pool does not know it yet, and nobody else would end its thread.
        connection.close()
        raise


def _begins_with(statement: str) -> Callable[[Connection], None]:
    """A write that begins as a read may be refused in the middle; one that says so waits."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


def _make_private(file: Path) -> None:
    """Make the file and its folder before SQLite does, readable by their owner only."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
