"""A listener as its connections see it."""

from enum import Enum, auto
from typing import Protocol

from gateway.proxy.deadlines import Deadlines
from gateway.proxy.plane import DataPlane


class Admission(Enum):
    """What becomes of a new connection."""

    ADMITTED = auto()
    TURNED_AWAY = auto()  # too many: told so
    ONE_TOO_MANY = auto()  # too many from its address: told so
    DROPPED = auto()  # far too many, even for that


class Connection(Protocol):
    """A client connection as the listener sees it. *peer* is empty while nobody knows it."""

    peer: str
    deadline: float

    @property
    def idle(self) -> bool: ...

    def expired(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class Listening(Protocol):
    """Where the connection gets what all share, and tells that it is there."""

    plane: DataPlane
    deadlines: Deadlines
    draining: bool

    def admit(self, connection: Connection) -> Admission:
        """Count the connection, and decide whether it may stay."""

    def forget(self, connection: Connection) -> None: ...

    def refused(self, peer: str, why: str) -> None:
        """A connection from *peer* brought no header, and gets no answer."""
