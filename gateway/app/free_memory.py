"""Gives back to the system what the C library holds free between things that are kept.

A table's entries are of many sizes and come and go in any order: what they leave free is never at
the end of the heap, where alone the GNU C library would give it back by itself.
"""

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

EVERY_SECONDS: Final = 30.0


def trimming() -> Callable[[int], int] | None:
    """Return malloc_trim(3), None for a C library that has none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


async def return_free_memory(every: float = EVERY_SECONDS) -> None:
    """Do it for ever, every so many seconds; some tenths of a millisecond each time."""
    trim = trimming()
    while trim is not None:
        await asyncio.sleep(every)
        trim(0)
