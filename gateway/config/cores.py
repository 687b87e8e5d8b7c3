"""How many cores this process may use: those it is bound to, as far as its quota of time lets it.

A container with two of sixty-four cores sees all of them, and only the quota of its cgroup tells.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from math import ceil
from pathlib import Path


@cache
def usable_cores() -> int:
    """Return how many there were when it was first asked: later ones come with a restart, and keep
    no reload from being taken until then.
    """
    return cores_by(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def cores_by(membership: Path, mounted: Path) -> int:
    """Return how many there are, at least 1; a quota of one and a half is two.

    *membership* names the cgroups of the process, *mounted* is where they are (cgroups(7), both
    versions). Where there are none, there is no quota.
    """
    # Only Linux tells to which cores a process is bound.
    affinity = getattr(os, "sched_getaffinity", None)
    bound = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([bound, *map(ceil, _quotas(membership, mounted))]))


def _quotas(membership: Path, mounted: Path) -> Iterator[float]:
    """Find the quotas, in cores, of the process's cgroup and of all above it."""
    for folder in _folders(membership, mounted):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = _allowed(folder)
            if quota > 0:
                yield quota / period


def _folders(membership: Path, mounted: Path) -> Iterator[Path]:
    lines: list[str] = []
    with suppress(OSError):
        lines = membership.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mounted / "cpu" if controllers else mounted
        own = root / path.lstrip("/")
        yield root
        # Seen from inside of a container the path may be one of the machine outside.
        yield from (each for each in (own, *own.parents) if each.is_relative_to(root))


def _allowed(folder: Path) -> tuple[int, int]:
    """Return how many µs of CPU time it may use in how many; none is no positive number.

    Raises OSError and ValueError where it says nothing.
    """
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text().split()
    else:
        quota = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
    return int(quota), int(period)
