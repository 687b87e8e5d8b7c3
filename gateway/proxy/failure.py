"""Why an upstream gave no proper answer: a few fixed words, for metrics and for clients."""

import errno
from enum import StrEnum
from typing import Final

# No descriptors, no memory, no ports left.
_OURS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)


class Failure(StrEnum):
    """What went wrong. The value is a metric label."""

    CONNECT = "connect"  # nobody accepted a connection
    CONNECT_TIMEOUT = "connect-timeout"
    BUSY = "busy"  # every connection is in use, and the queue is full or does not move
    TIMEOUT = "timeout"
    STALE = "stale"  # a kept connection turned out to be closed before a byte of the answer came
    CLOSED = "closed"  # the same, of a fresh connection
    CUT_OFF = "cut-off"  # the answer began and did not end
    MALFORMED = "malformed"

    @property
    def status(self) -> int:
        """The status that tells a client of it."""
        if self is Failure.BUSY:
            return 503
        return 504 if self in (Failure.CONNECT_TIMEOUT, Failure.TIMEOUT) else 502

    @property
    def detail(self) -> str:
        """What a client may know of it."""
        match self:
            case Failure.CONNECT | Failure.CONNECT_TIMEOUT:
                return "The application cannot be reached."
            case Failure.BUSY:
                return "The application is busy."
            case Failure.TIMEOUT:
                return "The application did not answer in time."
            case Failure.STALE | Failure.CLOSED | Failure.CUT_OFF | Failure.MALFORMED:
                return "The application gave no proper answer."


def is_our_own(error: Exception) -> bool:
    """Whether this process lacks what it takes to connect, wherever it is that it connects to."""
    return isinstance(error, OSError) and error.errno in _OURS
