"""Connections to one upstream: kept alive, bounded, spread over its targets, and queued for.

The most recently used connection is taken first, so that the surplus of a busy hour idles out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.headers.fields import ResponseFields
from gateway.proxy.deadlines import NEVER, Deadlines
from gateway.proxy.failure import Failure
from gateway.proxy.heads import ResponseHead
from gateway.proxy.upstream import UpstreamConnection
from gateway.tasks import Tasks

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
Balance = Literal["round-robin", "least-connections"]

# A request that must not be sent twice takes a kept connection only if it was used this recently:
# the upstream may be closing an older one at this very moment.
FRESH_SECONDS = 1.0
IDLE_SECONDS = 60.0
_EJECT_AFTER = 3
_EJECT_SECONDS = 10.0


class Waiting(Protocol):
    """An exchange that wants a connection."""

    repeatable: bool
    connect_timeout: float | None

    def attach(self, connection: UpstreamConnection) -> None: ...

    def refused(self, failure: Failure, text: str) -> None:
        """No connection can be had. *text* is for the log."""


@dataclass(slots=True, eq=False)
class Target:
    """One address of an upstream. *name* is for logs; *connect* opens a connection to it."""

    name: str
    connect: Connect
    idle: list[UpstreamConnection] = field(default_factory=list)
    open: int = 0
    failures: int = 0
    ejected_until: float = 0.0
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Connections in total, exchanges that may queue for one, and seconds to get one."""

    connections: int = 256
    queue: int = 1024
    connect_timeout: float = 5.0


class Pool:
    """All connections to one upstream."""

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        limits: PoolLimits,
        *,
        deadlines: Deadlines,
        tasks: Tasks,
        fields: ResponseFields,
        balance: Balance = "round-robin",
        host: bytes | None = None,
        internal: bool = False,
    ) -> None:
        self.name = name
        self.targets = tuple(targets)
        self.limits = limits
        self.deadlines = deadlines
        self.host = host
        self.internal = internal
        self.closing = False
        self._tasks = tasks
        self.fields = fields
        self._balance = balance
        self._turn = 0
        self._open = 0
        self._queue: deque[tuple[float, Waiting]] = deque()
        self.deadline = NEVER
        self._target_of: dict[UpstreamConnection, Target] = {}
        self._detached: set[UpstreamConnection] = set()
        self._kept: list[asyncio.Task[None]] = []

    def keep(self, task: asyncio.Task[None]) -> None:
        """Let *task* end with the pool."""
        self._kept.append(task)

    def take(self, exchange: Waiting) -> None:
        """Give *exchange* a connection, at once or when there is one, or refuse it."""
        target = self._choose()
        connection = self._idle(target, exchange)
        if connection is not None:
            exchange.attach(connection)
        elif self._open < self.limits.connections or self._drop_an_idle_one():
            self._dial(target, exchange)
        elif len(self._queue) < self.limits.queue:
            self._wait(exchange)
        else:
            exchange.refused(Failure.BUSY, "every connection is busy and the queue is full")

    def forget(self, exchange: object) -> None:
        """*exchange* no longer waits."""
        for place in self._queue:
            if place[1] is exchange:
                self._queue.remove(place)
                return

    def expired(self) -> None:
        """The one that has waited longest in the queue has waited too long."""
        while self._queue and self._queue[0][0] <= self.deadlines.now:
            self._queue.popleft()[1].refused(Failure.BUSY, "no connection became free in time")
        self.deadline = self._queue[0][0] if self._queue else NEVER
        if not self._queue:
            self.deadlines.forget(self)

    def _wait(self, exchange: Waiting) -> None:
        until = self.deadlines.now + self.limits.connect_timeout
        if not self._queue:
            self.deadline = until
            self.deadlines.watch(self)
        self._queue.append((until, exchange))

    # As its connections see it.

    def released(self, connection: UpstreamConnection) -> None:
        """The connection has done its work and may be used again."""
        target = self._target_of[connection]
        target.failures = 0
        if self._queue and connection.usable:
            self._queue.popleft()[1].attach(connection)
            return
        if self.closing:
            connection.abort()
            return
        connection.idle_since = self.deadlines.now
        connection.deadline = self.deadlines.now + IDLE_SECONDS
        target.idle.append(connection)

    def detached(self, connection: UpstreamConnection) -> None:
        """The connection became a tunnel: it may last for days, so nobody's turn waits for it.

        It still counts in its target's load.
        """
        self._detached.add(connection)
        self._made_room()

    def lost(self, connection: UpstreamConnection) -> None:
        """The connection is closed."""
        target = self._target_of.pop(connection, None)
        if target is None:
            return
        target.open -= 1
        if connection.served:
            target.failures = 0
        if connection in target.idle:
            target.idle.remove(connection)
        if connection in self._detached:
            self._detached.discard(connection)
        else:
            self._made_room()

    def failed(self, connection: UpstreamConnection) -> None:
        """The upstream behind the connection misbehaved: count it against its target."""
        target = self._target_of.get(connection)
        if target is not None:
            self._count_failure(target)

    def _made_room(self) -> None:
        self._open -= 1
        if self._queue:
            self._dial(self._choose(), self._queue.popleft()[1])

    def close(self) -> None:
        """Close what idles now, and the rest as it becomes free."""
        self.closing = True
        for task in self._kept:
            task.cancel()
        for target in self.targets:
            for connection in tuple(target.idle):
                connection.abort()

    def available(self) -> bool:
        """Whether some target is believed to answer."""
        return any(self._in_service(target) for target in self.targets)

    # Choosing and dialling.

    def _choose(self) -> Target:
        if len(self.targets) == 1:
            return self.targets[0]
        candidates = [target for target in self.targets if self._in_service(target)]
        # With every target out of service, trying one is better than refusing all.
        candidates = candidates or list(self.targets)
        self._turn += 1
        if self._balance == "least-connections":
            return min(candidates, key=lambda target: target.open - len(target.idle))
        return candidates[self._turn % len(candidates)]

    def _in_service(self, target: Target) -> bool:
        return target.healthy and target.ejected_until <= self.deadlines.now

    def _idle(self, target: Target, exchange: Waiting) -> UpstreamConnection | None:
        idle = target.idle
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            stale = self.deadlines.now - connection.idle_since > FRESH_SECONDS
            if stale and not exchange.repeatable:
                idle.append(connection)
                return None
            return connection
        return None

    def _drop_an_idle_one(self) -> bool:
        """Make room: an idle connection to another target, or one too old for this request."""
        for target in self.targets:
            if target.idle:
                target.idle.pop(0).abort()
                return True
        return False

    def _dial(self, target: Target, exchange: Waiting, tried: frozenset[str] = frozenset()) -> None:
        target.open += 1
        self._open += 1
        self._tasks.spawn(f"connect to {self.name}", self._connect(target, exchange, tried))

    async def _connect(self, target: Target, exchange: Waiting, tried: frozenset[str]) -> None:
        connection = UpstreamConnection(self, ResponseHead(self.fields))
        self._target_of[connection] = target
        failure, text = Failure.CONNECT, "it closed the connection at once"
        try:
            async with asyncio.timeout(exchange.connect_timeout or self.limits.connect_timeout):
                await target.connect(lambda: connection)
        except TimeoutError:
            failure, text = Failure.CONNECT_TIMEOUT, "it did not accept in time"
        except OSError as error:
            text = str(error)
        except Exception:
            # Whatever it is, the client gets its answer and the place becomes free.
            self._unreachable(target, connection, exchange, failure, "unexpectedly", tried)
            raise
        else:
            if connection.usable:
                connection.deadline = NEVER
                exchange.attach(connection)
                return
        self._unreachable(target, connection, exchange, failure, text, tried)

    def _unreachable(
        self,
        target: Target,
        connection: UpstreamConnection,
        exchange: Waiting,
        failure: Failure,
        text: str,
        tried: frozenset[str],
    ) -> None:
        """Try another target, since nothing was sent to this one yet, or give up."""
        self._count_failure(target)
        self.lost(connection)
        tried |= {target.name}
        others = [
            other for other in self.targets if other.name not in tried and self._in_service(other)
        ]
        if others:
            self._dial(others[0], exchange, tried)
        else:
            exchange.refused(failure, f"{target.name}: {text}")

    def _count_failure(self, target: Target) -> None:
        target.failures += 1
        if target.failures >= _EJECT_AFTER and len(self.targets) > 1:
            target.ejected_until = self.deadlines.now + _EJECT_SECONDS
            target.failures = 0
