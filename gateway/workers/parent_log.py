"""How the parent logs: straight to standard output, since a thread must not be there at a fork."""

import logging
import os
import select
import sys

from gateway.config.values import Log
from gateway.observability import logs
from gateway.observability.line import LineFormat


def configure(log: Log) -> None:
    """Log as *log* says from here on."""
    level = logging.getLevelNamesMapping()[log.level.upper()]
    logs.configure(level, LineFormat(log.format), _write)


def _write(line: str) -> bool:
    """Drop the line where nobody reads, or the disk is full: the parent must never wait, or end."""
    out = sys.stdout.fileno()
    try:
        _, writable, _ = select.select([], [out], [], 0)
        if writable:
            os.write(out, line.encode("ascii", "backslashreplace"))
    except OSError:
        return False
    return bool(writable)
