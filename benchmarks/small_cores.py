"""Cores made small: each process may use a twentieth of one, so that a machine has room for many.

A cgroup for each, with a quota of CPU time, under whichever version of cgroups controls the CPU;
only root may make them. A process that has used up its quota rests until the next period begins.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Long enough for many requests in a row, as on a core; short enough for many turns in a second.
PERIOD_US = 50_000
QUOTA_US = 2_500
SHARE = QUOTA_US / PERIOD_US

_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_VERSION_2 = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 10.0


class NotAllowed(Exception):
    """Says why there can be no small cores here."""


class SmallCores:
    """Makes cgroups below *root*."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: list[Path] = []

    def give(self, processes: Iterable[int]) -> None:
        """Give each of *processes* a small core of its own, with all its threads."""
        for process in processes:
            (self._make(f"benchmark-{process}") / "cgroup.procs").write_text(str(process))

    def take_back(self) -> None:
        """Remove what was made; the processes have ended, or will at once."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._made:
            try:
                self._made[-1].rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                self._made.pop()

    def _make(self, name: str) -> Path:
        made = self._root / name
        made.mkdir()
        self._made.append(made)
        for file, setting in settings(self._root).items():
            (made / file).write_text(setting)
        return made


def settings(root: Path) -> dict[str, str]:
    """Return what a cgroup below *root* is to be told, by file."""
    if (root / "cpu.cfs_quota_us").exists():
        return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(QUOTA_US)}
    return {"cpu.max": f"{QUOTA_US} {PERIOD_US}"}


@contextmanager
def small_cores(*roots: Path) -> Iterator[SmallCores]:
    """Give small cores out until the end of the block. Raises NotAllowed."""
    found = [root for root in roots or (_VERSION_1, _VERSION_2) if _controls_cpu(root)]
    if not found:
        raise NotAllowed("no cgroups that control the CPU")
    cores = SmallCores(found[0])
    try:
        try:
            cores._make("benchmark")
        except OSError as error:
            raise NotAllowed(f"cgroups cannot be made: {error}") from error
        yield cores
    finally:
        cores.take_back()


def _controls_cpu(root: Path) -> bool:
    if (root / "cpu.cfs_quota_us").exists():
        return True
    controllers = root / "cgroup.subtree_control"
    return controllers.exists() and "cpu" in controllers.read_text().split()
