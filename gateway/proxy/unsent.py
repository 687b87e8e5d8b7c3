"""How much a connection still has to deliver, the kernel's share included.

A peer that reads slowly is told from one that reads no more by this number going down, and nothing
but this number says that a closing connection has delivered all it had.
"""

import array
import asyncio
import fcntl
import socket
import termios
from typing import Final

# The FIN that follows the last byte counts as one.
NOTHING: Final = 1
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
# The first byte of TCP_INFO in a connection that is no more (TCP_CLOSE in Linux).
_CLOSED: Final = 7


def unsent(transport: asyncio.Transport) -> int:
    """Return how many bytes written to *transport* its peer has not acknowledged, but still may."""
    waiting = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return waiting
    queued = array.array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
    except OSError:
        return waiting
    if queued[0] > NOTHING and _is_reset(connection):
        return 0
    return waiting + queued[0]


def _is_reset(connection: socket.socket) -> bool:
    """Whether the peer has reset it, which nobody hears of who neither reads nor writes.

    What had been sent then stays in the queue for ever.
    """
    if _TCP_INFO is None or connection.family == socket.AF_UNIX:
        return False
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _CLOSED
    except OSError:
        return False
