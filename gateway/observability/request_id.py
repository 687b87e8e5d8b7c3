"""Gives every request a name that no other request has, and decides whose names are believed.

Invariant: an id is short and harmless in any log or header.
"""

import re
from collections.abc import Callable
from itertools import count

_WELL_FORMED = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch


def request_ids(process: bytes) -> Callable[[], str]:
    """Return a source of ids: *process* (8 random bytes) in hex, then a counter.

    Unique without asking the system for randomness each time. They are names, not secrets.
    """
    prefix = process.hex()
    return map((prefix + "%08x").__mod__, count(1)).__next__


def accepted(value: str | None, *, trusted: bool) -> str | None:
    """Return the peer's id if the peer is *trusted* and the id is well formed, else None."""
    if trusted and value is not None and _WELL_FORMED(value):
        return value
    return None
