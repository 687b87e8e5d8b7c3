"""Writes log lines to a file descriptor from a thread of its own, so that nobody else ever waits.

Invariant: memory held for a slow or stuck reader is bounded; what does not fit is dropped and
counted, and a reader that went away never stops the gateway.
"""

import os
import select
import stat
import threading
from collections import deque

CAPACITY_BYTES = 4 * 1024 * 1024
WRITE_BYTES = 64 * 1024


class Output:
    """Standard output, or any other descriptor, behind a bounded queue.

    A pipe that several processes share takes at most PIPE_BUF bytes in one piece (POSIX `write`);
    with *shared* whole lines are written in such pieces, so that processes never mix within a line.
    The thread begins with the first write: make one Output per process, after forking.
    """

    def __init__(self, fd: int, *, capacity: int = CAPACITY_BYTES, shared: bool = False) -> None:
        self.dropped = 0
        self._fd = os.dup(
            fd
        )  # ours alone: a number that others close may come to mean another file
        self._capacity = capacity
        self._piece = select.PIPE_BUF if shared and _is_pipe(fd) else WRITE_BYTES
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._pending = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def write(self, lines: str) -> bool:
        """Take whole ASCII *lines* and return at once; False when there is no room for them."""
        with self._changed:
            if self._closed or self._pending + len(lines) > self._capacity:
                self.dropped += lines.count("\n")
                return False
            self._waiting.append(lines)
            self._pending += len(lines)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-output", daemon=True)
                self._thread.start()
        return True

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until everything is written, or *timeout* seconds; say whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._pending == 0, timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Flush, then take no more. A reader that is stuck cannot hold up the exit."""
        done = self.flush(timeout)
        with self._changed:
            first, self._closed = not self._closed, True
            self._changed.notify_all()
        if self._thread is None:
            if first:
                os.close(self._fd)
        elif done:
            self._thread.join(timeout)
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    break
                lines = "".join(self._waiting)
                self._waiting.clear()
            for piece in _pieces(lines.encode("ascii", "backslashreplace"), self._piece):
                written = _write_all(self._fd, piece)
                with self._changed:
                    self.dropped += 0 if written else piece.count(b"\n")
            with self._changed:
                self._pending -= len(lines)
                self._changed.notify_all()
        os.close(self._fd)


def _pieces(data: bytes, size: int) -> list[bytes]:
    """Cut *data* at line ends into pieces of at most *size* bytes; a longer line stays whole."""
    pieces = []
    start = 0
    while start < len(data):
        end = start + size
        if end < len(data):
            end = data.rfind(b"\n", start, end) + 1 or data.find(b"\n", end) + 1 or len(data)
        pieces.append(data[start:end])
        start = end
    return pieces


def _write_all(fd: int, data: bytes) -> bool:
    """Write *data* whole; False when nobody can read it (a closed pipe, a full disk)."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Someone else made our descriptor non-blocking (it is shared with whoever started us).
            select.select([], [fd], [])
        except OSError:
            return False
    return True


def _is_pipe(fd: int) -> bool:
    return stat.S_ISFIFO(os.fstat(fd).st_mode)
