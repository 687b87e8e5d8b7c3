"""A listener as its connections see it."""

from dataclasses import replace
from enum import Enum, auto
from typing import Protocol

from gateway.proxy.deadlines import Deadlines
from gateway.proxy.familiar import FamiliarHeads
from gateway.proxy.plane import DataPlane


class Admission(Enum):
    """What becomes of a new connection."""

    ADMITTED = auto()
    TURNED_AWAY = auto()  # too many: told so
    ONE_TOO_MANY = auto()  # too many from its address: told so
    DROPPED = auto()  # far too many: told in passing, where nobody has to wait for that
    ONE_DROPPED = auto()  # the same, from its address

    @property
    def drops(self) -> bool:
        """Whether the connection may not even stay until it could be told."""
        return self in (Admission.DROPPED, Admission.ONE_DROPPED)


class Connection(Protocol):
    """A client connection as the listener sees it. *peer* is empty while nobody knows it."""

    peer: str
    deadline: float

    @property
    def idle(self) -> bool: ...

    @property
    def is_tunnel(self) -> bool:
        """Whether it was upgraded, to a WebSocket."""

    def expired(self) -> None: ...

    def drain(self) -> None: ...

    def abort(self) -> None: ...


class Listening(Protocol):
    """Where the connection gets what all share, and tells that it is there."""

    deadlines: Deadlines

    @property
    def plane(self) -> DataPlane: ...

    @property
    def draining(self) -> bool: ...

    @property
    def over_tls(self) -> "Listening":
        """The same, for those whose proxy says that they came to it over TLS."""

    def admit(self, connection: Connection) -> Admission:
        """Count the connection, and decide whether it may stay."""

    def forget(self, connection: Connection) -> None: ...

    def refused(self, peer: str, why: str) -> None:
        """A connection from *peer* brought no header, and gets no answer."""


class OverTls:
    """A listener as those see it who came over TLS, as the proxy says that ended it for us."""

    def __init__(self, listening: Listening) -> None:
        self.deadlines = listening.deadlines
        self.admit = listening.admit
        self.forget = listening.forget
        self.refused = listening.refused
        self._listening = listening
        self._plane: DataPlane | None = None
        self._plain: DataPlane | None = None

    @property
    def plane(self) -> DataPlane:
        """The plane in force, but for the scheme, and what is remembered with it."""
        plain = self._listening.plane
        if self._plane is None or plain is not self._plain:
            self._plain = plain
            self._plane = replace(plain, scheme="https", familiar=FamiliarHeads())
        return self._plane

    @property
    def draining(self) -> bool:
        return self._listening.draining

    @property
    def over_tls(self) -> "OverTls":
        return self
