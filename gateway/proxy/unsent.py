"""How much a connection still has to deliver, the kernel's share included.

A peer that reads slowly is told from one that reads no more by this number going down, and nothing
but this number says that a closing connection has delivered all it had.
"""

import array
import asyncio
import fcntl
import termios
from typing import Final

# The FIN that follows the last byte counts as one.
NOTHING: Final = 1


def unsent(transport: asyncio.Transport) -> int:
    """Return how many bytes written to *transport* its peer has not acknowledged."""
    waiting = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return waiting
    queued = array.array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
    except OSError:
        return waiting
    return waiting + queued[0]
