"""Stores with as many sessions in them as one likes, loaded past the gateway."""

import contextlib
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.identity.principal import Principal
from gateway.sessions.redis import RedisStore
from gateway.sessions.session import Device, Session, encode
from gateway.sessions.sql import SqlStore
from gateway.sessions.store import LINGER, Store, subject_key
from gateway.tasks import Tasks
from tests.sessions.servers import Postgres, Redis, program

KINDS = ("sqlite", "postgresql", "redis")
SUBJECT = "user"
_DAY = 86_400_000
_PER_USER = 5
_PLACEHOLDER = "#" * 22
_INSERT = "INSERT INTO gateway_sessions (id, subject, record, forget_at) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True)
class Crowd:
    """A store of one kind, at *url*, and how many sessions are in it."""

    kind: str
    url: str
    count: int

    def open(self, tasks: Tasks) -> Store:
        if self.kind == "redis":
            return RedisStore.open(self.url, tasks=tasks, deadline=2.0)
        return SqlStore.open(self.url, tasks=tasks, now=time.time)

    async def load(self, begin: int, count: int, *, forget_in: int | None = None) -> None:
        """Put sessions in: living ones, or such as are to be forgotten in so many milliseconds."""
        forget_at = None if forget_in is None else int(time.time() * 1000) + forget_in
        rows = _rows(begin, count, forget_at)
        match self.kind:
            case "sqlite":
                with contextlib.closing(sqlite3.connect(self.url.partition("///")[2])) as file:
                    file.execute("PRAGMA synchronous = OFF")
                    file.executemany(_INSERT, rows)
                    file.commit()
                    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            case "postgresql":
                connection = await asyncpg.connect(self.url)
                columns = ("id", "subject", "record", "forget_at")
                await connection.copy_records_to_table(
                    "gateway_sessions", records=rows, columns=columns
                )
                await connection.execute("ANALYZE gateway_sessions")
                await connection.close()
            case "redis":
                _pipe_into_redis(self.url, rows)


def session_id(number: int) -> str:
    return f"{number:022d}"


def _rows(begin: int, count: int, forget_at: int | None) -> Iterator[tuple[str, str, str, int]]:
    now = int(time.time() * 1000)
    record = encode(
        Session(
            id=_PLACEHOLDER,
            principal=Principal(
                SUBJECT, "A. User", "user@example.com", ("staff",), provider="htpasswd-1"
            ),
            device=Device("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "192.0.2.7"),
            created=now,
            seen=now,
            head=1,
            parent=0,
            sent=now,
            confirmed=now,
            ends=now + 30 * _DAY,
            idle_ends=now + 7 * _DAY,
        )
    )
    until = forget_at or now + 7 * _DAY + LINGER
    for number in range(begin, begin + count):
        name = session_id(number)
        yield (
            name,
            subject_key(f"user{number // _PER_USER}"),
            record.replace(_PLACEHOLDER, name),
            until,
        )


def _pipe_into_redis(url: str, rows: Iterator[tuple[str, str, str, int]]) -> None:
    port, _, database = url.rpartition(":")[2].partition("/")
    pipe = subprocess.Popen(
        [program("redis-cli"), "-p", port, "-n", database, "--pipe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert pipe.stdin is not None
    for name, subject, record, until in rows:
        pipe.stdin.write(_command("SET", f"gw:s:{name}", record, "PXAT", str(until)))
        pipe.stdin.write(_command("ZADD", f"gw:u:{subject}", str(until), name))
    pipe.stdin.close()
    if pipe.wait(300):
        raise SystemExit("redis-cli --pipe failed")


def _command(*words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


@contextmanager
def crowds(kind: str, folder: Path, counts: tuple[int, ...]) -> Iterator[list[Crowd]]:
    """Start one server; give a store of its own for each of *counts*, empty."""
    with ExitStack() as stack:
        match kind:
            case "sqlite":
                urls = [f"sqlite:///{folder}/crowd-{count}.db" for count in counts]
            case "postgresql":
                server = stack.enter_context(Postgres.running())
                urls = [_new_database(server, f"crowd_{count}") for count in counts]
            case _:
                server = stack.enter_context(Redis.running())
                urls = [f"{server.url[:-1]}{index}" for index in range(len(counts))]
        yield [Crowd(kind, url, count) for url, count in zip(urls, counts, strict=True)]


def _new_database(server: Postgres, name: str) -> str:
    psql = program("psql", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))))
    subprocess.run([psql, "-q", server.url, "-c", f"CREATE DATABASE {name}"], check=True)
    return server.url.rpartition("/")[0] + f"/{name}"
