"""Where the configuration comes from, so that it can be read again while the gateway runs."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config.load import load
from gateway.config.values import Config

LOOK_SECONDS = 1.0

# Of each file: inode, size and time of change; None while there is none.
Fingerprint: TypeAlias = Mapping[str, tuple[int, int, int] | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file (None: there is none), the environment of the process, and flags over both."""

    path: str | None
    environ: Mapping[str, str]
    overrides: Mapping[str, object] | None = None

    def read(self) -> Config:
        """Read everything. Raises ConfigErrors."""
        return load(self.path, self.environ, self.overrides)

    def fingerprint(self, others: Collection[str] = ()) -> Fingerprint:
        """Tell the file, and *others*, as they are now from what they were before."""
        paths = {*others} if self.path is None else {self.path, *others}
        return {path: _fingerprint(Path(path)) for path in paths}


class Changes:
    """Notices that files changed, once they are left alone: nobody reads half of what is written.

    A file that is not there is a moment of its being exchanged.
    """

    def __init__(self, seen: Fingerprint) -> None:
        self._known = dict(seen)
        self._last = seen

    def look(self, now: Fingerprint) -> bool:
        """Whether files have changed since it was last said so, and not since the last look."""
        settled = now == self._last
        self._last = now
        # What is named only now was read when its name was.
        changed = {
            path
            for path, seen in now.items()
            if seen is not None and seen != self._known.setdefault(path, seen)
        }
        if not settled or not changed:
            return False
        self._known.update({path: now[path] for path in changed})
        return True


def read_once(config: Config) -> frozenset[str]:
    """Return the files that were read with *config*, and that nobody else watches."""
    upstreams = config.upstreams.values()
    named = {path for each in upstreams for path in (each.ca, each.certificate, each.key)}
    named |= {each.jwks for each in config.tokens.accept if "://" not in each.jwks}
    return config.included | {path for path in named if path is not None}


async def watch(
    changes: Changes, look: Callable[[], Fingerprint], changed: Callable[[], None]
) -> None:
    """Look for ever at what there were *changes* of."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if changes.look(look()):
            changed()


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
