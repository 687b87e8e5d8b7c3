"""What workers tell each other of attempts to sign in: each has a box, and all others write to it.

A message is there as soon as it was sent, so a worker that looks into its box before it decides has
heard all that the others did before.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from gateway.counts import Counts
from gateway.portal.elsewhere import Told
from gateway.workers.ends import Ends

# Only Linux has both: as many messages as fit into the buffer (of datagrams often no more than
# ten), and where each ends.
_KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
_LONGEST = 512
_SEPARATOR = "\n"


def open_box() -> Ends:
    """Open the box of one worker."""
    return Ends.open(_KIND)


class Post:
    """How one worker hears of the others, and they of it. See `Elsewhere`."""

    def __init__(
        self, mine: socket.socket, others: Sequence[socket.socket], under_way: Counts
    ) -> None:
        self.under_way = under_way
        self._mine = mine
        self._others = others

    def tell(self, what: Told, *about: str) -> None:
        """Write it to every other. Whose box is full has been reading nothing for long."""
        message = _SEPARATOR.join((what, *about)).encode(errors="replace")
        for other in self._others:
            with suppress(OSError):
                other.send(message)

    def heard(self) -> Iterator[Sequence[str]]:
        """Take what is in the box."""
        with suppress(BlockingIOError):
            while message := self._mine.recv(_LONGEST):
                yield message.decode(errors="replace").split(_SEPARATOR)

    def on_message(self, hear: Callable[[], object]) -> None:
        """Call *hear* when something is in the box, however little is decided here."""
        asyncio.get_running_loop().add_reader(self._mine.fileno(), hear)
