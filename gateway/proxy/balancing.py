"""Which of an upstream's targets is asked next, and which is left alone for a while.

A target that fails a few times in a row is ejected: for some seconds it is asked nothing, then one
request at a time tries it, until one is answered. Time comes in as an argument.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.proxy.upstream import UpstreamConnection

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
Balance = Literal["round-robin", "least-connections"]

EJECT_AFTER: Final = 3
EJECT_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False)
class Target:
    """One server of an upstream.

    *name* is for logs and metrics; *connect* opens a connection. *host* is a Host header that this
    target alone gets, *authority* the one for questions of our own.
    """

    name: str
    connect: Connect
    host: bytes | None = None
    authority: bytes = b"localhost"
    idle: list[UpstreamConnection] = field(default_factory=list)
    open: int = 0
    tunnels: int = 0
    failures: int = 0
    ejected_until: float = 0.0
    ejections: int = 0
    healthy: bool = True

    @property
    def busy(self) -> int:
        """Connections that carry a request, or are being opened for one."""
        return self.open - self.tunnels - len(self.idle)

    @property
    def suspect(self) -> bool:
        """Whether nothing was answered since it was ejected."""
        return self.failures >= EJECT_AFTER

    def inherit(self, earlier: "Target", *, checked: bool) -> None:
        """Begin with what is known of the same server. Only the *checked* become well again."""
        self.failures = earlier.failures
        self.ejected_until = earlier.ejected_until
        self.ejections = earlier.ejections
        self.healthy = earlier.healthy or not checked

    def in_service(self, now: float) -> bool:
        return self.healthy and (not self.suspect or self.ejected_until <= now)

    def failed(self, now: float) -> bool:
        """Count a failure, and return whether it is the one for which the target is ejected."""
        self.failures += 1
        if not self.suspect:
            return False
        self.ejected_until = now + EJECT_SECONDS
        if self.failures > EJECT_AFTER:
            return False
        self.ejections += 1
        return True


def choose(
    targets: Sequence[Target],
    turn: int,
    now: float,
    *,
    balance: Balance,
    connections: int,
    without: Collection[object] = (),
    desperate: bool = True,
) -> Target | None:
    """Return the target whose *turn* it is, None when *without* leaves none.

    When none is in service, the *desperate* try one all the same: better than to refuse everybody.
    A target that hangs must not swallow all *connections* of the upstream: beside others it gets
    an equal share of them.
    """
    left = [target for target in targets if target not in without]
    candidates = [target for target in left if target.in_service(now)]
    if desperate:
        candidates = candidates or left
    if not candidates:
        return None
    share = connections // len(candidates)
    candidates = [target for target in candidates if target.busy < share] or candidates
    first = turn % len(candidates)
    chosen = candidates[first]
    if balance == "least-connections":
        # Equals take turns.
        chosen = min(candidates[first:] + candidates[:first], key=_load)
    if chosen.suspect:
        # One at a time: whether it answers is not known before its answer.
        chosen.ejected_until = now + EJECT_SECONDS
    return chosen


def _load(target: Target) -> int:
    """Connections in use; tunnels are load too, as long as they last."""
    return target.open - len(target.idle)
