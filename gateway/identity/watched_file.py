"""A file that is read again when it changes; a bad new content never replaces a good old one.

No thread and no inotify: whoever uses the file looks at it, at most once a second. So a change
counts a second later, on network file systems and in replaced container mounts too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Content = TypeVar("Content")

_LOOK_AGAIN_AFTER = 1.0
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a file; line and column count from 1, 0 where there is none."""

    line: int
    column: int
    message: str


class BadFile(Exception):
    """A file cannot be used; its text names every problem as file:line:column."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}:{p.line}:{p.column}: {p.message}"
            if p.line
            else f"{self.path}: {p.message}"
            for p in self.problems
        )


class BadText(Exception):
    """Raised by a parser with every problem that it found."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems


class WatchedFile(Generic[Content]):
    """Holds what a file says. Opening it with bad content raises BadFile."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], Content],
        *,
        now: Callable[[], float],
        on_bad: Callable[[BadFile], None],
    ) -> None:
        self._path = path
        self._parse = parse
        self._now = now
        self._on_bad = on_bad
        self._seen, content = self._read()
        if isinstance(content, BadFile):
            raise content
        self._content: Content = content
        self._looked = now()
        self._looking = False
        self._reported = ""

    async def content(self) -> Content:
        """Return what the file says now, or last said well."""
        # A clock that was set back must not stop us from looking.
        due = not 0 <= self._now() - self._looked < _LOOK_AGAIN_AFTER
        if due and not self._looking:
            self._looking = True
            try:
                await self._look()
            finally:
                self._looking = False
        return self._content

    def last(self) -> Content:
        """Return what the file last said well, without looking."""
        return self._content

    async def _look(self) -> None:
        self._looked = self._now()
        if await asyncio.to_thread(_signature, self._path) == self._seen:
            return
        # Assigned here and not in the thread: a caller who was cancelled changes nothing.
        self._seen, content = await asyncio.to_thread(self._read)
        if not isinstance(content, BadFile):
            self._content = content
            self._reported = ""
        elif str(content) != self._reported:
            self._reported = str(content)
            self._on_bad(content)

    def _read(self) -> tuple[object, Content | BadFile]:
        """Read and parse. The signature is taken first, so a write in between is seen next time."""
        signature = _signature(self._path)
        try:
            return signature, self._parse(_text(self._path))
        except BadText as bad:
            return signature, BadFile(self._path, bad.problems)
        except OSError as failure:
            reason = failure.strerror or str(failure)
            # No signature: it may be readable again without having changed.
            return None, BadFile(self._path, (Problem(0, 0, reason),))


def _signature(path: Path) -> object:
    """Change when the file changes: also when its times are kept (ctime), or it is replaced."""
    try:
        stat = path.stat()
    except OSError:
        return (
            "missing"  # never what a readable file left behind, and not None either: read, report
        )
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_dev, stat.st_ino)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise BadText(Problem(0, 0, f"larger than {_LARGEST // 1024 // 1024} MiB"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        before = data[: failure.start]
        line = before.count(b"\n") + 1
        column = failure.start - before.rfind(b"\n")
        raise BadText(Problem(line, column, "not UTF-8")) from failure
