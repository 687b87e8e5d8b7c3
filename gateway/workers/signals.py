"""Signals as something to wait for beside sockets, and nothing that happens in between."""

import select
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Collects `HEARD` from the beginning of the `with` block to its end."""

    def __enter__(self) -> Self:
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._before: Mapping[signal.Signals, object] = {
            number: signal.signal(number, _noted) for number in HEARD
        }
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def wait(self, seconds: float, ends: Sequence[socket.socket]) -> set[int]:
        """Wait for signals, for one of *ends*, or for *seconds*; return the signals' numbers."""
        poll = select.poll()
        for end in (self._reading, *ends):
            poll.register(end, select.POLLIN)
        poll.poll(seconds * 1000)
        with suppress(BlockingIOError):
            return set(self._reading.recv(4096))
        return set()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let none through to a child that does not know yet what to do with it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def forget(self) -> None:
        """In a child: be deaf to the parent's signals, until the child listens for itself."""
        self._stop()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)

    def _stop(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        self._reading.close()
        self._writing.close()


def _noted(_number: int, _frame: FrameType | None) -> None:
    """What there is to know is in the wakeup socket."""
