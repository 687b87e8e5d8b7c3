"""What ties a worker to its parent: a socket pair on which each says single bytes.

The parent says the number of a reload; the worker says it back once it serves what it then read. So
both mean the same configuration, however many reloads are under way. A worker that would not serve
it, over a file that may be mended, says that. The end of the parent is the end of the line, and the
worker notices.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

# What a worker says beside the numbers of reloads, which are below these.
IS_READY = 255
RELOAD_OTHERS = 254
IS_REFUSED = 253
RELOAD_NUMBERS = 250

_WORDS_AT_ONCE = 64


class Lifeline:
    """The worker's end. Numbers that come before somebody listens for them wait."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._wanted: int | None = None
        self._reload: Callable[[int], object] | None = None

    def say(self, word: int) -> None:
        """Tell the parent; one that is gone needs no telling."""
        with suppress(OSError):
            self._end.send(bytes([word]))

    def hold(self, parent_is_gone: Callable[[], None]) -> None:
        """Listen from here on."""
        asyncio.get_running_loop().add_reader(self._end.fileno(), self._heard, parent_is_gone)

    def on_reload(self, reload: Callable[[int], object]) -> None:
        """Call *reload* with the number of each reload, and of the last one missed."""
        self._reload = reload
        self._pass_on()

    def _heard(self, parent_is_gone: Callable[[], None]) -> None:
        try:
            said = self._end.recv(_WORDS_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
            parent_is_gone()
            return
        # Whoever reads the file now serves the wishes before as well.
        self._wanted = said[-1]
        self._pass_on()

    def _pass_on(self) -> None:
        if self._reload is not None and self._wanted is not None:
            self._reload(self._wanted)
            self._wanted = None
