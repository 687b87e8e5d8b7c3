"""Users in a SQL database: SQLite or PostgreSQL by the same statements.

Each operation is one statement, so none can be half done. Every call has a deadline, and a database
that does not answer is *unavailable*, never *no such user*.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Executable, Row, Update, delete, event, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.identity.database_schema import (
    database_file,
    database_url,
    make_private,
    migrate,
    users,
)
from gateway.identity.principal import Principal
from gateway.identity.provider import ProviderUnavailable
from gateway.identity.users import User, UsernameTaken
from gateway.tasks import Tasks

Result = TypeVar("Result")

_DOWN = (DBAPIError, PoolTimeout, OSError, TimeoutError)
_SILENT = "the users database does not answer"


@dataclass(frozen=True, slots=True)
class _Done(Generic[Result]):
    result: Result


class Database:
    """A UserSource, a RehashingSource and a Registrar. User names are canonical throughout.

    Every method raises ProviderUnavailable. Opens by itself at the first use, so that a database
    which is down at the start is no reason not to start. `__init__` raises BadDatabaseURL.
    """

    def __init__(self, url: str, *, now: Callable[[], float], deadline: float = 5.0) -> None:
        self._url = database_url(url)
        self._now = now
        self._deadline = deadline
        self._engine = _engine(self._url.render_as_string(hide_password=False), deadline)
        self._tasks = Tasks()
        self._opening = asyncio.Lock()
        self._open = False

    async def open(self) -> None:
        """Create or update the schema, unless that is done already."""

        async def nothing(_: AsyncConnection) -> None: ...

        await self._run(nothing)

    async def close(self) -> None:
        await self._tasks.close()
        await self._engine.dispose()

    async def find(self, username: str) -> User | None:
        rows = await self._rows(select(users).where(users.c.username == username))
        return _user(rows[0]) if rows else None

    def decoys(self) -> Sequence[str]:
        return ()  # hashes of an older cost are replaced as their users sign in

    async def everyone(self) -> list[User]:
        """Return all users by name."""
        return [_user(row) for row in await self._rows(select(users).order_by(users.c.username))]

    async def add(self, user: User) -> None:
        """Keep a new user. Raises UsernameTaken."""
        person, now = user.principal, int(self._now())
        statement = insert(users).values(
            username=person.subject,
            password=user.password_hash,
            email=person.email,
            name=person.name,
            groups=list(person.groups),
            claims=dict(person.claims),
            disabled=user.disabled,
            created_at=now,
            changed_at=now,
        )
        try:
            await self._execute(statement)
        except IntegrityError as taken:
            raise UsernameTaken(person.subject) from taken

    async def set_password(self, username: str, password_hash: str) -> bool:
        """Replace the password; False when there is no such user."""
        return await self._change(username, password=password_hash)

    async def set_disabled(self, username: str, *, disabled: bool) -> bool:
        """Disable or enable; False when there is no such user."""
        return await self._change(username, disabled=disabled)

    async def remove(self, username: str) -> bool:
        """Forget a user; False when there is none."""
        return await self._execute(delete(users).where(users.c.username == username)) > 0

    async def rehash(self, username: str, before: str, after: str) -> None:
        """Replace the hash, unless it is no longer *before*: a new password wins."""
        same = users.c.password == before
        await self._execute(_of(username).where(same).values(password=after))

    async def _change(self, username: str, **values: object) -> bool:
        values["changed_at"] = int(self._now())
        return await self._execute(_of(username).values(values)) > 0

    async def _rows(self, statement: Executable) -> Sequence[Row[Any]]:
        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(statement)).all()

        return await self._run(work)

    async def _execute(self, statement: Executable) -> int:
        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self._run(work)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do the work by the deadline.

        What has begun is carried through though nobody waits for it any more: a connection given up
        halfway could hand its answer to the next one who asks.
        """

        async def through() -> _Done[Result] | Exception:
            try:
                await self._opened()
                async with self._engine.connect() as connection:
                    return _Done(await work(connection))
            except Exception as failure:  # noqa: BLE001 # told to who waits, if anybody does
                return failure

        doing = self._tasks.spawn("users database", through())
        try:
            async with asyncio.timeout(self._deadline):
                outcome: _Done[Result] | Exception = await asyncio.shield(doing)
        except TimeoutError as late:
            raise ProviderUnavailable(_SILENT) from late
        if isinstance(outcome, _Done):
            return outcome.result
        if isinstance(outcome, _DOWN) and not isinstance(outcome, IntegrityError):
            raise ProviderUnavailable(_SILENT) from outcome
        raise outcome

    async def _opened(self) -> None:
        if self._open:
            return
        async with self._opening:
            if self._open:
                return
            if (file := database_file(self._url)) is not None:
                make_private(file)
            await migrate(self._engine)
            self._open = True


def _engine(url: str, deadline: float) -> AsyncEngine:
    lite = url.startswith("sqlite")
    # SQLite: how long to wait for a lock. PostgreSQL: for a connection, and for each answer.
    timeouts = {"timeout": deadline} if lite else {"timeout": deadline, "command_timeout": deadline}
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=not lite,
        pool_timeout=deadline,
        hide_parameters=True,  # password hashes, in what an error says
        connect_args=timeouts,
    )
    if lite:
        event.listen(engine.sync_engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _: object) -> None:
    # A password change that was confirmed survives the loss of power.
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _of(username: str) -> Update:
    return update(users).where(users.c.username == username)


def _user(row: Row[Any]) -> User:
    principal = Principal(
        subject=row.username,
        name=row.name,
        email=row.email,
        groups=tuple(row.groups),
        claims=row.claims,
    )
    return User(principal, row.password, row.disabled)
