"""Accepts connections one by one, for listeners whose connections begin with a PROXY header.

The event loop's own servers read as much as there is, and a header is read to its end and no
further.
"""

import array
import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_log: Final = logging.getLogger("gateway")
_AT_ONCE: Final = 64
_WAITING_AT_MOST: Final = 4096
_SECONDS_WITHOUT_FILES: Final = 1.0
# asm-generic/socket.h
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
# A socket filter (bpf(4)) that drops what begins a connection. The client tries again after a
# second, and is refused then or finds somebody else.
_NO_SYN: Final = array.array(
    "Q",
    struct.pack(
        "HBBI" * 4,
        *(0x30, 0, 0, 13),  # ldb [13]: the flags of the TCP header
        *(0x45, 1, 0, 0x02),  # jset SYN, to the last line
        *(0x06, 0, 0, 0xFFFFFFFF),  # ret all
        *(0x06, 0, 0, 0),  # ret nothing
    ),
)


def accept_waiting(listening: socket.socket, arrived: Callable[[socket.socket], None]) -> None:
    """Accept those whom the kernel has accepted for us: closing *listening* would reset them."""
    for _ in range(_WAITING_AT_MOST):
        try:
            connection, _ = listening.accept()
        except ConnectionError:
            continue  # gone before it was looked at
        except OSError:
            return
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        arrived(connection)


def close_emptied(listening: socket.socket, arrived: Callable[[socket.socket], None]) -> None:
    """Accept those who are connected already, and close *listening* so that nobody else is."""
    _filter(listening, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN), _NO_SYN.buffer_info()[0]))
    accept_waiting(listening, arrived)
    listening.close()


def open_again(listening: socket.socket) -> None:
    """Take back what `close_emptied` did to a socket that another process kept open."""
    _filter(listening, _SO_DETACH_FILTER, bytes(4))


def _filter(listening: socket.socket, option: int, value: bytes) -> None:
    """Elsewhere than on Linux, who connects between the last accept and the end is reset."""
    if sys.platform == "linux" and listening.family != socket.AF_UNIX:
        with suppress(OSError):
            listening.setsockopt(socket.SOL_SOCKET, option, value)


class Accepting:
    """Hands each connection that *listening* accepts to *arrived*, until it is closed."""

    def __init__(
        self, listening: socket.socket, arrived: Callable[[socket.socket], None], backlog: int
    ) -> None:
        self._listening = listening
        self._arrived = arrived
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        listening.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accept those who are connected already, and no more."""
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listening)
            close_emptied(self._listening, self._arrived)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        # A few at once, and others have their turn: a flood does not end by itself.
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # gone before it was looked at
            except OSError as error:
                self._wait_for_files(error)
                return
            connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._arrived(connection)

    def _wait_for_files(self, error: OSError) -> None:
        """No descriptors are left, or no memory: asking again at once would not help."""
        _log.error("no connection can be accepted: %s", error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        loop.call_later(_SECONDS_WITHOUT_FILES, self._resume)
