"""The stores under test, each with the ways in which it can fail while a gateway depends on it."""

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.link import Fault, Link
from tests.sessions.servers import (
    Postgres,
    Process,
    Redis,
    cli,
    folder,
    free_port,
    program,
    wait_until,
)

Act = Callable[[random.Random], Awaitable[None]]


class Gate:
    """What must survive a failover (sign-ins, ends) waits here while writes can be lost."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._inside = 0

    async def __aenter__(self) -> None:
        while not self._open.is_set():
            await self._open.wait()
        self._inside += 1

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1

    async def close(self) -> None:
        self._open.clear()
        while self._inside:
            await asyncio.sleep(0.02)

    def open(self) -> None:
        self._open.set()


class Backend:
    """A store: its `url`, what can go wrong with it, and how often each thing did."""

    name = ""
    url = ""

    def __init__(self) -> None:
        self.gate = Gate()
        self.links: list[Link] = []
        self.acts: dict[str, Act] = {}

    def heal(self) -> None:
        for link in self.links:
            link.heal()


class Networked(Backend):
    """A store behind links."""

    deadline = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.acts = {
            "slow network": self._slow,
            "answers too late": self._too_slow,
            "replies dropped": self._drop,
            "replies swallowed": self._swallow,
            "blackhole": self._blackhole,
            "connections reset": self._reset,
        }

    async def _on_links(
        self, fault: Fault, chance: random.Random, span: tuple[float, float], **how
    ):
        for link in self.links:
            link.inject(fault, **how)
        await asyncio.sleep(chance.uniform(*span))
        for link in self.links:
            link.inject(None)

    async def _slow(self, chance: random.Random) -> None:
        await self._on_links(Fault.DELAY, chance, (0.5, 1.5), seconds=chance.uniform(0.02, 0.1))

    async def _too_slow(self, chance: random.Random) -> None:
        late = self.deadline * chance.uniform(0.9, 1.5)
        await self._on_links(Fault.DELAY, chance, (0.5, 1.2), seconds=late, share=0.15)

    async def _drop(self, chance: random.Random) -> None:
        await self._on_links(Fault.DROP_REPLIES, chance, (0.5, 1.5), share=0.3)

    async def _swallow(self, chance: random.Random) -> None:
        await self._on_links(Fault.SWALLOW_REPLIES, chance, (0.3, 1.0), share=0.2)

    async def _blackhole(self, chance: random.Random) -> None:
        await self._on_links(Fault.BLACKHOLE, chance, (0.5, 1.5), share=chance.choice([0.3, 1.0]))

    async def _reset(self, chance: random.Random) -> None:
        for _ in range(chance.randint(1, 4)):
            for link in self.links:
                link.reset()
            await asyncio.sleep(chance.uniform(0.0, 0.2))


class RedisPair(Networked):
    """A primary, a replica and a sentinel that fails over when it is told to."""

    name = "redis"

    def __init__(self, servers: list[Redis], links: list[Link], sentinel: int) -> None:
        super().__init__()
        self.servers = servers
        self.links = links
        self._sentinel = sentinel
        self._first = 0
        self.url = f"redis+sentinel://127.0.0.1:{sentinel}/gateway/0"
        self.acts |= {"store frozen": self._freeze, "failover": self.fail_over}

    async def _freeze(self, chance: random.Random) -> None:
        primary = self.servers[self._first]
        primary.freeze()
        await asyncio.sleep(chance.uniform(0.4, 1.5))
        primary.thaw()

    async def fail_over(self, chance: random.Random) -> None:
        """Lose the primary, and with it what it acknowledged last."""
        await self.gate.close()
        try:
            await asyncio.to_thread(wait_until, self._replicated, "the replica")
            self.links[self._first].replication_cut = True
            await asyncio.sleep(chance.uniform(0.1, 0.7))
            await asyncio.to_thread(self._promote)
        finally:
            self.gate.open()

    def heal(self) -> None:
        super().heal()
        for server in self.servers:
            server.thaw()

    def _replicated(self) -> bool:
        said = cli(self.servers[self._first].port, "info", "replication").splitlines()
        facts = dict(line.split(":", 1) for line in said if ":" in line)
        replica = facts.get("slave0", "")
        return f"offset={facts.get('master_repl_offset')}," in replica and "online" in replica

    def _promote(self) -> None:
        old, new = self._first, 1 - self._first
        self.servers[old].kill()
        self.links[old].replication_cut = False
        wait_until(
            lambda: "OK" in cli(self._sentinel, "sentinel", "failover", "gateway"), "failover"
        )
        wait_until(
            lambda: (
                str(self.links[new].port)
                in cli(self._sentinel, "sentinel", "get-master-addr-by-name", "gateway")
            ),
            "the new primary",
        )
        self._first = new
        server = self.servers[old]
        server.argv = [*server.alone, "--replicaof", "127.0.0.1", str(self.links[new].port)]
        server.start()

    @classmethod
    @contextmanager
    def running(cls, _folder: Path, chance: random.Random) -> Iterator["RedisPair"]:
        with ExitStack() as stack:
            links = [stack.enter_context(Link(free_port(), chance).running()) for _ in range(2)]
            servers = []
            for index, link in enumerate(links):
                options = ["--replica-announce-ip", "127.0.0.1"]
                options += ["--replica-announce-port", str(link.port)]
                options += ["--repl-diskless-sync-delay", "0"]
                follow = ["--replicaof", "127.0.0.1", str(links[0].port)] if index else []
                server = stack.enter_context(Redis.running(*options, *follow, port=link.target))
                server.alone = server.argv[: len(server.argv) - len(follow)]
                servers.append(server)
            place, sentinel = stack.enter_context(folder()), free_port()
            (place / "sentinel.conf").write_text(
                f"port {sentinel}\nbind 127.0.0.1\n"
                f"sentinel monitor gateway 127.0.0.1 {links[0].port} 1\n"
                # It is to fail over when it is told to, and never by itself.
                "sentinel down-after-milliseconds gateway 600000\n"
                "sentinel failover-timeout gateway 10000\n"
            )
            watcher = Process([program("redis-server"), str(place / "sentinel.conf"), "--sentinel"])
            stack.callback(watcher.close)
            wait_until(
                lambda: "num-slaves\n1" in cli(sentinel, "sentinel", "master", "gateway"),
                "Sentinel",
                30,
            )
            made = cls(servers, links, sentinel)
            wait_until(made._replicated, "replication")
            yield made


class PostgresBehindLink(Networked):
    name = "postgresql"
    deadline = 2.0

    def __init__(self, server: Postgres, link: Link) -> None:
        super().__init__()
        self.links = [link]
        self._server = server
        self.url = f"postgresql://postgres@127.0.0.1:{link.port}/postgres"
        self.acts["server restarted"] = self._restart

    async def _restart(self, chance: random.Random) -> None:
        server = self._server
        server.process.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown
        await asyncio.to_thread(server.process.wait, 20)
        await asyncio.sleep(chance.uniform(0, 0.5))
        server.start()

    @classmethod
    @contextmanager
    def running(cls, _folder: Path, chance: random.Random) -> Iterator["PostgresBehindLink"]:
        with Postgres.running() as server, Link(server.port, chance).running() as link:
            yield cls(server, link)


class SqliteFile(Backend):
    """No network: what can go wrong is a process that holds the file's lock, or that dies."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.url = f"sqlite:///{path}"
        self.acts = {"file locked": self._lock}

    async def _lock(self, chance: random.Random) -> None:
        connection = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        try:
            await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
            await asyncio.sleep(chance.uniform(0.3, 2.5))
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def running(cls, place: Path, _chance: random.Random) -> Iterator["SqliteFile"]:
        yield cls(place / "gateway.db")


BACKENDS = {each.name: each for each in (RedisPair, PostgresBehindLink, SqliteFile)}
