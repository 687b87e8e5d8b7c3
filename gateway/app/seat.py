"""The place of one process among those that share the port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.app.sockets import Sockets
from gateway.counts import Counts
from gateway.portal.elsewhere import Elsewhere


class Neighbours(Protocol):
    """The other processes, by their numbers, as the one with the operations port asks them."""

    async def metrics(self) -> Mapping[int, str]:
        """Return the metrics of those that answer, in OpenMetrics text."""

    async def unready(self) -> str | None:
        """Return which of them are not there or lack something, None when all are well."""

    def reload(self) -> None:
        """Have them read the configuration too."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Number 0 has the operations port and the *neighbours*; the sockets are bound already.

    *connections* are those that all of them have; *elsewhere* people try to sign in, too.
    """

    number: int
    sockets: Sockets
    connections: Counts
    elsewhere: Elsewhere
    neighbours: Neighbours | None = None
