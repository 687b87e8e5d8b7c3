"""The place of a worker: what outlives the process that has it."""

import mmap
import secrets

from gateway.app.sockets import Sockets, bind_again, open_sockets, places_of
from gateway.config.values import Config
from gateway.workers.channel import open_channel
from gateway.workers.child import Child
from gateway.workers.post import open_box
from gateway.workers.restarts import Deaths
from gateway.workers.shared_counts import COLUMNS, SharedCounts, size_of

_SECRET_BYTES = 16
# Each of them hashes a password: there are never many.
_COLUMNS_FOR_ATTEMPTS = 4096


class Place:
    """Listening sockets, a channel to ask on, a box for what others tell, what is counted here
    (connections, and attempts to sign in that are under way), and a child process or the time of
    the next one.

    `has_refused`: the child would not serve what was read last, over some file.
    """

    def __init__(
        self, number: int, sockets: Sockets, connections: SharedCounts, attempts: SharedCounts
    ) -> None:
        self.number = number
        self.sockets = sockets
        self.connections = connections
        self.attempts = attempts
        self.channel = open_channel()
        self.box = open_box()
        self.child: Child | None = None
        self.due: float | None = None
        self.has_refused = False
        self.deaths = Deaths()
        self._where = places_of(sockets)

    def vacate(self, child: Child) -> None:
        """Have no *child* any more: it is dead, and the system has closed its connections."""
        child.close()
        self.child = None
        self.has_refused = False
        self.connections.clear()
        self.attempts.clear()

    def died(self, lived: float, now: float) -> None:
        """Plan the next child. When it is not for now, connections go to the others meanwhile."""
        self.deaths = self.deaths.after(lived)
        self.due = now + self.deaths.pause
        if self.deaths.pause:
            self.release()

    def bind(self) -> None:
        """Have sockets again. Raises OSError."""
        if not self.sockets:
            self.sockets = bind_again(self._where)

    def release(self) -> None:
        """Close our sockets; those of the child stay open."""
        for each in self.sockets:
            each.close()
        self.sockets = ()


def open_places(config: Config) -> list[Place]:
    """Return a place for each worker. Raises CannotListen."""
    sockets = open_sockets(config.listen, config.workers)
    connections = _shared_counts(config.workers, COLUMNS)
    attempts = _shared_counts(config.workers, _COLUMNS_FOR_ATTEMPTS)
    return [
        Place(number, *each)
        for number, each in enumerate(zip(sockets, connections, attempts, strict=True))
    ]


def _shared_counts(workers: int, columns: int) -> list[SharedCounts]:
    # What is inherited at a fork stays one memory for all; a page of it is taken once it is used.
    memory = memoryview(mmap.mmap(-1, size_of(workers, columns)))
    secret = secrets.token_bytes(_SECRET_BYTES)
    return [SharedCounts(memory, place, workers, secret, columns) for place in range(workers)]
