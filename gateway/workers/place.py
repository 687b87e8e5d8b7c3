"""The place of a worker: what outlives the process that has it."""

from gateway.app.sockets import Sockets, bind_again, places_of
from gateway.workers.channel import Channel
from gateway.workers.child import Child
from gateway.workers.restarts import Deaths


class Place:
    """Listening sockets, a channel to ask on, and a child process or the time of the next one."""

    def __init__(self, number: int, sockets: Sockets) -> None:
        self.number = number
        self.sockets = sockets
        self.channel = Channel.open()
        self.child: Child | None = None
        self.due: float | None = None
        self.deaths = Deaths()
        self._where = places_of(sockets)

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
