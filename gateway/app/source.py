"""Where the configuration comes from, so that it can be read again while the gateway runs."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config.load import load
from gateway.config.values import Config

_LOOK_SECONDS = 2.0

Fingerprint: TypeAlias = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Source:
    """A file (None: there is none), the environment of the process, and flags over both."""

    path: str | None
    environ: Mapping[str, str]
    overrides: Mapping[str, object] | None = None

    def read(self) -> Config:
        """Read everything. Raises ConfigErrors."""
        return load(self.path, self.environ, self.overrides)

    def fingerprint(self) -> Fingerprint:
        """Tell the file as it is from what it was before; None while there is none."""
        try:
            seen = Path(self.path).stat() if self.path is not None else None
        except OSError:
            return None
        return None if seen is None else (seen.st_ino, seen.st_size, seen.st_mtime_ns)


async def watch(source: Source, changed: Callable[[], None]) -> None:
    """Look at the file for ever. One that is gone is a moment of its being exchanged."""
    seen = source.fingerprint()
    while source.path is not None:
        await asyncio.sleep(_LOOK_SECONDS)
        now = source.fingerprint()
        if now is not None and now != seen:
            seen = now
            changed()
