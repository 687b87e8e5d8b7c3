"""Connections to one upstream: kept alive, bounded, spread over its targets, and queued for.

The most recently used connection is taken first, so that the surplus of a busy hour idles out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.headers.fields import ResponseFields
from gateway.observability.upstream_metrics import TargetState, UpstreamState
from gateway.proxy.balancing import EJECT_SECONDS, Balance, Target, choose
from gateway.proxy.deadlines import NEVER, Deadlines
from gateway.proxy.failure import Failure, is_our_own
from gateway.proxy.heads import ResponseHead
from gateway.proxy.renaming import RenamingConnection
from gateway.proxy.response_lines import ResponseLines
from gateway.proxy.upstream import UpstreamConnection
from gateway.tasks import Tasks

_LOG: Final = logging.getLogger(__name__)

# A request that must not be sent twice takes a kept connection only if it was used this recently:
# the upstream may be closing an older one at this very moment.
FRESH_SECONDS = 1.0
IDLE_SECONDS = 60.0
# However busy a connection is, one day it is opened anew: where it leads may be left by then.
KEEP_SECONDS = 3600.0


class Waiting(Protocol):
    """An exchange that wants a connection."""

    repeatable: bool
    connect_timeout: float | None

    def attach(self, connection: UpstreamConnection) -> None: ...

    def refused(self, failure: Failure, text: str) -> None:
        """No connection can be had. *text* is for the log."""


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
        self.lines = ResponseLines(fields)
        self._head = ResponseHead(self.lines)
        self._balance = balance
        self._turn = -1
        self._open = 0
        self._queue: deque[tuple[float, Waiting]] = deque()
        self.deadline = NEVER
        self._target_of: dict[UpstreamConnection, Target] = {}
        self._detached: set[UpstreamConnection] = set()
        self._kept: list[asyncio.Task[None]] = []

    def keep(self, task: asyncio.Task[None]) -> None:
        """Let *task* end with the pool."""
        self._kept.append(task)

    def state(self) -> UpstreamState:
        """Return what metrics tell of it."""
        now = self.deadlines.now
        targets = [
            TargetState(target.name, target.in_service(now), target.ejections)
            for target in self.targets
        ]
        return UpstreamState(self.name, self._open, len(self._queue), targets)

    def take(self, exchange: Waiting, instead_of: UpstreamConnection | None = None) -> None:
        """Give *exchange* a connection, at once or when there is one, or refuse it.

        *instead_of* is one that turned out to be closed: others that were kept as long may be too,
        and so may its target, so another target is asked where there is one.
        """
        if instead_of is None:
            target = self._choose()
            connection = self._idle(target, exchange)
        else:
            target = self._choose_from((instead_of.origin,)) or self._choose()
            connection = None
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
        self._target_of[connection].failures = 0
        if connection.keep_until > self.deadlines.now:
            self.unneeded(connection)
        else:
            connection.abort()

    def unneeded(self, connection: UpstreamConnection) -> None:
        """Whoever the connection was for is gone: it may be used, and has proven nothing."""
        if self._queue and connection.usable:
            self._queue.popleft()[1].attach(connection)
            return
        if self.closing:
            connection.abort()
            return
        connection.idle_since = self.deadlines.now
        connection.deadline = self.deadlines.now + IDLE_SECONDS
        self._target_of[connection].idle.append(connection)

    def detached(self, connection: UpstreamConnection) -> None:
        """The connection became a tunnel: it may last for days, so nobody's turn waits for it.

        It still counts in its target's load.
        """
        self._detached.add(connection)
        self._target_of[connection].tunnels += 1
        self._made_room()

    def answered(self, connection: UpstreamConnection) -> None:
        """The connection has done its work, and closes."""
        self._target_of[connection].failures = 0

    def lost(self, connection: UpstreamConnection) -> None:
        """The connection is closed."""
        target = self._target_of.pop(connection, None)
        if target is None:
            return
        target.open -= 1
        if connection in target.idle:
            target.idle.remove(connection)
        if connection in self._detached:
            self._detached.discard(connection)
            target.tunnels -= 1
        else:
            self._made_room()

    def failed(self, connection: UpstreamConnection) -> None:
        """The upstream behind the connection misbehaved: count it against its target."""
        target = self._target_of.get(connection)
        if target is not None:
            self._count_failure(target)

    def _made_room(self) -> None:
        self._open -= 1
        if self._queue and self._open < self.limits.connections:
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
        return any(target.in_service(self.deadlines.now) for target in self.targets)

    def moved(self, target: Target, addresses: Collection[str]) -> None:
        """*target* is at *addresses* from now on: keep no connection to where it was."""
        for connection, leads_to in tuple(self._target_of.items()):
            gone = _address_of(connection) not in (*addresses, None)
            if leads_to is target and gone and connection not in self._detached:
                connection.keep_until = 0.0
                if connection in target.idle:
                    connection.abort()

    # Choosing and dialling.

    def _choose(self) -> Target:
        if len(self.targets) == 1:
            return self.targets[0]
        return self._choose_from() or self.targets[0]

    def _choose_from(
        self, without: Collection[object] = (), *, desperate: bool = True
    ) -> Target | None:
        self._turn += 1
        return choose(
            self.targets,
            self._turn,
            self.deadlines.now,
            balance=self._balance,
            connections=self.limits.connections,
            without=without,
            desperate=desperate,
        )

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

    def _dial(
        self, target: Target, exchange: Waiting, tried: frozenset[Target] = frozenset()
    ) -> None:
        target.open += 1
        self._open += 1
        self._tasks.spawn(f"connect to {self.name}", self._connect(target, exchange, tried))

    def _new_connection(self, target: Target) -> UpstreamConnection:
        if target.host is None:
            connection = UpstreamConnection(self, self._head)
        else:
            connection = RenamingConnection(self, self._head, target.host)
        connection.origin = target
        connection.keep_until = self.deadlines.now + KEEP_SECONDS
        return connection

    async def _connect(self, target: Target, exchange: Waiting, tried: frozenset[Target]) -> None:
        connection = self._new_connection(target)
        self._target_of[connection] = target
        failure, text, blameless = Failure.CONNECT, "it closed the connection at once", False
        try:
            async with asyncio.timeout(exchange.connect_timeout or self.limits.connect_timeout):
                await target.connect(lambda: connection)
        except TimeoutError:
            failure, text = Failure.CONNECT_TIMEOUT, "it did not accept in time"
        except OSError as error:
            text, blameless = str(error), is_our_own(error)
        except Exception:
            # Whatever it is, the client gets its answer and the place becomes free.
            self._count_failure(target)
            self._unreachable(target, connection, exchange, failure, "unexpectedly", tried)
            raise
        else:
            if connection.usable:
                connection.deadline = NEVER
                exchange.attach(connection)
                return
        if not blameless:
            self._count_failure(target)
        self._unreachable(target, connection, exchange, failure, text, tried)

    def _unreachable(
        self,
        target: Target,
        connection: UpstreamConnection,
        exchange: Waiting,
        failure: Failure,
        text: str,
        tried: frozenset[Target],
    ) -> None:
        """Try another target, since nothing was sent to this one yet, or give up."""
        tried |= {target}
        # Who has waited already is not sent from one target that is thought dead to the next.
        other = self._choose_from(tried, desperate=failure is not Failure.CONNECT_TIMEOUT)
        kept = None if other is None else self._idle(other, exchange)
        if other is not None and kept is None:
            # Before the place is given to somebody in the queue.
            self._dial(other, exchange, tried)
        self.lost(connection)
        if kept is not None:
            exchange.attach(kept)
        elif other is None:
            exchange.refused(failure, f"{target.name}: {text}")

    def _count_failure(self, target: Target) -> None:
        if len(self.targets) > 1 and target.failed(self.deadlines.now):
            _LOG.warning(
                "upstream %s: target %s failed %d times in a row and is left alone for %g s",
                *(self.name, target.name, target.failures, EJECT_SECONDS),
            )


def _address_of(connection: UpstreamConnection) -> str | None:
    """Return where it leads; None where that has no address, or while it is being opened."""
    transport = getattr(connection, "transport", None)
    name = None if transport is None else transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else None
