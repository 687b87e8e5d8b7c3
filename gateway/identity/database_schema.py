"""Where the users table lives: database URLs, the file, and its schema by version."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Executable,
    Integer,
    MetaData,
    String,
    Table,
    func,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateTable

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_LOCK = 0x67757372  # any number, the same in every release: one start at a time on PostgreSQL
_SWITCH_AGAIN_AFTER = 0.02

metadata = MetaData()

# Prefixed, since the database may be one that the app has its own users in.
users = Table(
    "gateway_users",
    metadata,
    Column("username", String(128), primary_key=True),  # canonical: one spelling, one row
    Column("password", String, nullable=False),
    Column("email", String, nullable=False),
    Column("name", String, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("claims", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("changed_at", Integer, nullable=False),
)

_versions = Table("gateway_users_schema", metadata, Column("version", Integer, primary_key=True))

# One entry per version, never edited once released. An older release reads a newer schema, so a
# later version only adds what has a default.
_MIGRATIONS: Sequence[Sequence[Executable]] = ((CreateTable(users, if_not_exists=True),),)


class BadDatabaseURL(Exception):
    """The URL names no database that we can use."""


def database_url(text: str) -> URL:
    """Return the URL with its driver. Raises BadDatabaseURL, whose text never shows a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise BadDatabaseURL("not a database URL; e.g. sqlite:///data/gateway.db") from None
    scheme = url.drivername.partition("+")[0]
    if scheme not in _DRIVERS:
        raise BadDatabaseURL(f"{scheme}: is not supported; sqlite: and postgresql: are")
    return url.set(drivername=_DRIVERS[scheme])


def database_file(url: URL) -> Path | None:
    """Return the SQLite file, None for other databases and for memory."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def make_private(file: Path) -> None:
    """Make the file and its folder before SQLite does, readable by their owner only.

    The -wal and -shm files beside it take over its mode.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema up to date; safe when several processes start at once.

    The engine is in autocommit mode: the transaction is spelled out here.
    """
    lite = engine.dialect.name == "sqlite"
    async with engine.connect() as connection:
        if lite:
            await _write_ahead(connection)
        await connection.exec_driver_sql("BEGIN IMMEDIATE" if lite else "BEGIN")
        try:
            if not lite:
                await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            await _apply(connection)
        except BaseException:
            await connection.exec_driver_sql("ROLLBACK")
            raise
        await connection.exec_driver_sql("COMMIT")


async def _write_ahead(connection: AsyncConnection) -> None:
    """Switch SQLite to its write-ahead log, which it remembers. The caller sets the deadline."""
    while True:
        try:
            await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except OperationalError:
            # Two processes switch at once: SQLite's own waiting does not cover this (SQLITE_BUSY).
            await asyncio.sleep(_SWITCH_AGAIN_AFTER)
        else:
            return


async def _apply(connection: AsyncConnection) -> None:
    await connection.execute(CreateTable(_versions, if_not_exists=True))
    done = (await connection.execute(select(func.max(_versions.c.version)))).scalar() or 0
    for version, statements in enumerate(_MIGRATIONS, start=1):
        if version <= done:
            continue
        for statement in statements:
            await connection.execute(statement)
        await connection.execute(_versions.insert().values(version=version))
