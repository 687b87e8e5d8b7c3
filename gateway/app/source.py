"""Where the configuration comes from, so that it can be read again while the gateway runs."""

import asyncio
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config.load import load
from gateway.config.values import Config

LOOK_SECONDS = 1.0

# Of each file: inode, size, and the times when its content and its rights changed; None while there
# is none. Of a folder the size is that of all files in it, and the times those of the newest.
Fingerprint: TypeAlias = Mapping[str, tuple[int, int, int, int] | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file (None: there is none), the environment of the process, and flags over both."""

    path: str | None
    environ: Mapping[str, str]
    overrides: Mapping[str, object] | None = None

    def read(self) -> Config:
        """Read everything. Raises ConfigErrors."""
        return load(self.path, self.environ, self.overrides)

    @property
    def files(self) -> frozenset[str]:
        return frozenset() if self.path is None else frozenset({self.path})

    def fingerprint(self, others: Collection[str] = ()) -> Fingerprint:
        """Tell the file, and *others*, as they are now from what they were before."""
        return fingerprint(self.files.union(others))


class Changes:
    """Notices that files changed, once they are left alone: nobody reads half of what is written.

    A file that is not there is a moment of its being exchanged.
    """

    def __init__(self, seen: Fingerprint) -> None:
        self._known = dict(seen)
        self._last = seen

    def know(self, now: Fingerprint) -> None:
        """Take files for known as they are *now*, whatever they were."""
        self._known.update(now)

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


def named(config: Config) -> frozenset[str]:
    """Return every file and folder that *config* names, whoever reads it and when."""
    folder = config.tokens.key_folder
    return config.named if folder is None else config.named | {folder}


def fingerprint(paths: Collection[str]) -> Fingerprint:
    """Tell *paths* as they are now from what they were before."""
    return {path: _fingerprint(Path(path)) for path in paths}


async def watch(due: Callable[[], bool], changed: Callable[[], None]) -> None:
    """Ask for ever whether something is *due*."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if due():
            changed()


def _fingerprint(path: Path) -> tuple[int, int, int, int] | None:
    try:
        seen = path.stat()
        all_seen = [seen]
        if stat.S_ISDIR(seen.st_mode):
            all_seen += [each.stat() for each in path.iterdir()]
    except OSError:
        return None
    return (
        seen.st_ino,
        sum(each.st_size for each in all_seen),
        max(each.st_mtime_ns for each in all_seen),
        max(each.st_ctime_ns for each in all_seen),
    )
