"""The network between a gateway and its store, as bad as a test wants it.

A TCP proxy with a thread of its own. It knows nothing of what it carries, except which connections
belong to the store's own replicas and watchers: those suffer only when told so by name.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

_INTERNAL = (b"REPLCONF", b"PSYNC", b"sentinel-")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What happens to bytes. A connection once hit by one that loses bytes carries no more."""

    DELAY = "delay"  # both ways, `seconds` each
    DROP_REPLIES = "reply dropped"  # what was asked is done, the answer is lost, then reset
    SWALLOW_REPLIES = "reply swallowed"  # the same, and the connection stays open for ever
    BLACKHOLE = "blackhole"  # nothing arrives either way, and nobody is told


class Connection:
    def __init__(self, client: asyncio.StreamWriter, store: asyncio.StreamWriter) -> None:
        self.client = client
        self.store = store
        self.internal = False
        self.dead = False
        self.deaf = False

    def reset(self) -> None:
        """Break both halves with RST, as a failing middlebox does."""
        self.dead = True
        for writer in (self.client, self.store):
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Link:
    """Listens on `port` and leads to `target`; the attributes may change at any time."""

    def __init__(self, target: int, chance: random.Random | None = None) -> None:
        self.target = target
        self.port = 0
        self.fault: Fault | None = None
        self.seconds = 0.0
        self.share = 1.0  # of the bytes' bursts that are hit
        self.replication_cut = False
        self.counted: Counter[str] = Counter()
        self._chance = chance or random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._connections: set[Connection] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def inject(self, fault: Fault | None, *, seconds: float = 0.0, share: float = 1.0) -> None:
        self.seconds, self.share, self.fault = seconds, share, fault

    def heal(self) -> None:
        """Let everything through again; what half-open connections there are stay half-open."""
        self.fault = None
        self.replication_cut = False

    def reset(self) -> None:
        """Break every connection that is not the store's own."""
        self._loop.call_soon_threadsafe(self._reset)

    @contextmanager
    def running(self) -> Iterator["Link"]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        server = self._call(asyncio.start_server(self._carry, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._call(self._close(server))
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(5)
            self._loop.close()

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        for connection in tuple(self._connections):
            connection.reset()
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _reset(self) -> None:
        for connection in tuple(self._connections):
            if not connection.internal:
                self.counted["reset"] += 1
                connection.reset()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        try:
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                writer.transport.abort()
                return
            connection = Connection(writer, back)
            self._connections.add(connection)
            try:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(reader, back, connection, asks=True))
                    pumps.create_task(self._pump(there, writer, connection, asks=False))
            finally:
                self._connections.discard(connection)
                writer.transport.abort()
                back.transport.abort()
        except asyncio.CancelledError:
            pass
        finally:
            self._pumps.discard(task)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: Connection,
        *,
        asks: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if asks and any(word in data for word in _INTERNAL):
                    connection.internal = True
                if await self._passes(connection, asks=asks):
                    writer.write(data)
                    await writer.drain()
            if connection.dead or connection.deaf:
                writer.transport.abort()
            else:
                writer.write_eof()

    async def _passes(self, connection: Connection, *, asks: bool) -> bool:
        if connection.internal:
            while self.replication_cut:
                await asyncio.sleep(0.01)
            return True
        if connection.dead or (connection.deaf and not asks):
            return False
        fault = self.fault
        if fault is None or self._chance.random() >= self.share:
            return True
        match fault:
            case Fault.DELAY:
                self.counted[fault.value] += 1
                await asyncio.sleep(self.seconds)
                return True
            case Fault.BLACKHOLE:
                self.counted[fault.value] += 1
                connection.dead = True
            case Fault.DROP_REPLIES if not asks:
                self.counted[fault.value] += 1
                connection.reset()
            case Fault.SWALLOW_REPLIES if not asks:
                self.counted[fault.value] += 1
                connection.deaf = True
            case _:
                return True
        return False
