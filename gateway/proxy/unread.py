"""What a peer sent before it reset the connection, and nobody has read yet.

Who answers before the request is whole, and closes, resets the connection. An event loop that fails
to write closes at once then, though the answer may have come.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_AT_ONCE: Final = 64 * 1024


def deliver_unread(transport: asyncio.Transport, receive: Callable[[bytes], None]) -> None:
    """Give *receive* what the kernel still holds for *transport*; nothing where that is TLS."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None:
        return
    while data := _read(connection.fileno()):
        receive(data)


def _read(descriptor: int) -> bytes:
    with suppress(OSError):  # that it would block, or is closed, too
        return os.read(descriptor, _AT_ONCE)
    return b""
