"""Sessions in SQLite or PostgreSQL, with the same statements.

A swap and its announcement are one transaction. Announcements get their numbers in the order in
which they become visible, so a reader that has seen number n has seen all before it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from secrets import token_urlsafe
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.sessions.deadline import Deadline
from gateway.sessions.revocation import Revocation
from gateway.sessions.session import Session, encode
from gateway.sessions.sql_engines import Database, open_database
from gateway.sessions.store import LINGER, Announcements, Stored, stored, subject_key, subject_of
from gateway.tasks import Tasks

_Result = TypeVar("_Result")

_POLL_EVERY = 0.2
_FEED_PAGE = 1000

_metadata = MetaData()

_sessions = Table(
    "gateway_sessions",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("forget_at", BigInteger, nullable=False),
    Index("gateway_sessions_subject", "subject"),
    Index("gateway_sessions_forget_at", "forget_at"),
    sqlite_with_rowid=False,
)

_revocations = Table(
    "gateway_revocations",
    _metadata,
    # SQLite counts only in a column declared exactly INTEGER.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("session_id", Text),
    Column("subject", Text),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("gateway_revocations_until", "until"),
    sqlite_autoincrement=True,  # a number is never given twice, not even after a sweep
)


class SqlStore:
    """`open` makes one; nothing is asked of the database before the first call."""

    def __init__(self, database: Database, deadline: Deadline) -> None:
        self._database = database
        self._deadline = deadline
        self._prepared = False
        self._preparing = asyncio.Lock()

    @classmethod
    def open(
        cls, url: str, *, tasks: Tasks, now: Callable[[], float], deadline: float = 2.0
    ) -> "SqlStore":
        """Use the database at *url*; `now` is the host's clock, for SQLite, which has none."""
        database = open_database(url, now, deadline)
        return cls(database, Deadline(tasks, deadline, (SQLAlchemyError, *database.failures)))

    async def now(self) -> int:
        return await self._read(self._clock)

    async def get(self, session_id: str) -> Stored | None:
        wanted = _sessions.c.id == session_id
        return next(iter(await self._read(lambda c: self._select(c, wanted))), None)

    async def of_user(self, subject: str) -> list[Stored]:
        wanted = _sessions.c.subject == subject_key(subject)
        return await self._read(lambda c: self._select(c, wanted))

    async def add(self, session: Session) -> None:
        statement = insert(_sessions).values(
            id=session.id,
            subject=subject_key(session.principal.subject),
            record=encode(session),
            forget_at=session.over_at + LINGER,
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._write(work)

    async def swap(
        self, before: Stored, after: Session, announce: Revocation | None = None
    ) -> bool:
        statement = (
            update(_sessions)
            .where(_sessions.c.id == after.id, _sessions.c.record == before.text)
            .values(record=encode(after), forget_at=after.over_at + LINGER)
        )

        async def work(connection: AsyncConnection) -> bool:
            if (await connection.execute(statement)).rowcount != 1:
                return False
            if announce is not None:
                await self._enter(connection, announce)
            return True

        return await self._write(work)

    async def announce(self, revocation: Revocation) -> None:
        await self._write(lambda connection: self._enter(connection, revocation))

    async def announced(self, after: str | None, wait: float) -> Announcements:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            batch = await self._read(
                lambda connection: self._news(connection, int(after or 0)), trial=False
            )
            if batch.revocations or after is None or loop.time() >= until:
                return batch
            await asyncio.sleep(_POLL_EVERY)

    async def rehearse(self) -> None:
        row_id = f"rehearsal-{token_urlsafe(9)}"
        row = insert(_sessions).values(id=row_id, subject="", record="", forget_at=0)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(row)
            await connection.execute(delete(_sessions).where(_sessions.c.id == row_id))

        await self._write(work)

    async def sweep(self, limit: int) -> int:
        async def work(connection: AsyncConnection) -> int:
            now = await self._clock(connection)
            swept = 0
            for key, over in (
                (_sessions.c.id, _sessions.c.forget_at),
                (_revocations.c.number, _revocations.c.until),
            ):
                some = select(key).where(over <= now).limit(limit - swept)
                swept += (await connection.execute(delete(key.table).where(key.in_(some)))).rowcount
            return swept

        return await self._write(work)

    async def close(self) -> None:
        await self._deadline.close(self._database.close)

    async def _clock(self, connection: AsyncConnection) -> int:
        return int((await connection.execute(select(self._database.clock()))).scalar_one())

    async def _select(
        self, connection: AsyncConnection, wanted: ColumnElement[bool]
    ) -> list[Stored]:
        statement = select(_sessions.c.record, self._database.clock()).where(wanted)
        return [stored(text, int(now)) for text, now in await connection.execute(statement)]

    async def _enter(self, connection: AsyncConnection, revocation: Revocation) -> None:
        subject = revocation.subject
        await self._database.in_order(connection)
        await connection.execute(
            insert(_revocations).values(
                session_id=revocation.session_id,
                subject=None if subject is None else subject_key(subject),
                at=revocation.at,
                until=revocation.until,
            )
        )

    async def _news(self, connection: AsyncConnection, seen: int) -> Announcements:
        statement = (
            select(_revocations)
            .where(_revocations.c.number > seen)
            .order_by(_revocations.c.number)
            .limit(_FEED_PAGE)
        )
        rows = (await connection.execute(statement)).all()
        last = rows[-1].number if rows else seen
        return Announcements(
            tuple(_revocation(row) for row in rows), str(last), complete=len(rows) < _FEED_PAGE
        )

    async def _read(
        self,
        work: Callable[[AsyncConnection], Coroutine[Any, Any, _Result]],
        *,
        trial: bool = True,
    ) -> _Result:
        async def call() -> _Result:
            await self._prepare()
            async with self._database.reader.begin() as connection:
                return await work(connection)

        return await (self._deadline.run(call) if trial else self._deadline.once(call))

    async def _write(
        self, work: Callable[[AsyncConnection], Coroutine[Any, Any, _Result]]
    ) -> _Result:
        async def call() -> _Result:
            await self._prepare()
            async with self._database.writer.begin() as connection:
                return await work(connection)

        return await self._deadline.run(call)

    async def _prepare(self) -> None:
        """Make the tables at first use, so that the gateway starts even while the store is down."""
        if self._prepared:
            return
        async with self._preparing:
            if not self._prepared:
                await self._database.prepare(_metadata)
                self._prepared = True


def _revocation(row: Row[Any]) -> Revocation:
    subject = None if row.subject is None else subject_of(row.subject)
    return Revocation(at=row.at, until=row.until, session_id=row.session_id, subject=subject)
