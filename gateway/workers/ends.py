"""Both ends of a line between workers: the parent keeps them for whoever has the place."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ends:
    """What is written at one is read at the other; neither ever waits."""

    writing: socket.socket
    reading: socket.socket

    @classmethod
    def open(cls, kind: socket.SocketKind) -> "Ends":
        writing, reading = socket.socketpair(socket.AF_UNIX, kind)
        writing.setblocking(False)  # noqa: FBT003 - the standard library's signature
        reading.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return cls(writing, reading)

    def close(self) -> None:
        self.writing.close()
        self.reading.close()
