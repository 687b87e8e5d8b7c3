"""What was free in the middle of the heap goes back to the system."""

import asyncio
import platform
from pathlib import Path

import pytest

from gateway.app.free_memory import return_free_memory, trimming
from gateway.tasks import Tasks

# More than Python's own allocator takes, less than the C library maps by itself.
PIECE = 8 * 1024
PIECES = 8_000


def resident() -> int:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc holds it back")
async def test_what_is_free_between_things_that_are_kept_goes_back_to_the_system():
    pieces = [bytes([1]) * PIECE for _ in range(PIECES)]
    full = resident()
    kept = pieces[::2]
    del pieces
    assert resident() > full - PIECES * PIECE / 8

    tasks = Tasks()
    tasks.spawn("return free memory", return_free_memory(0.01))
    async with asyncio.timeout(10):
        while resident() > full - PIECES * PIECE / 4:
            await asyncio.sleep(0.01)

    assert all(piece == bytes([1]) * PIECE for piece in kept)
    await tasks.close()


async def test_a_c_library_without_it_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())

    assert trimming() is None
    await asyncio.wait_for(return_free_memory(0.0), 5)
