"""What a rule over several keys found: a path of the document, and whether it stops the start."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from gateway.config.complaints import Checked, place_of, spelled
from gateway.config.document import Mapping
from gateway.config.known_keys import Path
from gateway.config.model import File
from gateway.config.problem import Problem, problem_at

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Finding:
    problem: Problem
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """The document under examination."""

    result: Checked
    root: Mapping

    @property
    def file(self) -> File:
        return self.result.file

    def error(self, path: Path, message: str) -> Iterator[Finding]:
        yield from self._finding(path, message, warning=False)

    def warning(self, path: Path, message: str) -> Iterator[Finding]:
        yield from self._finding(path, message, warning=True)

    def items(self, key: str, values: Iterable[Item]) -> Iterator[tuple[int, Item]]:
        """Yield the items of a list with the numbers that they have in the file."""
        path = tuple(key.split("."))
        numbers = (at for at in count() if (*path, at) not in self.result.left_out)
        return zip(numbers, values, strict=False)

    def unreadable(self, *paths: Path) -> bool:
        """Whether something at, below or above one of *paths* was wrong already."""
        return any(
            path[: len(left_out)] == left_out or left_out[: len(path)] == path
            for path in paths
            for left_out in self.result.left_out
        )

    def _finding(self, path: Path, message: str, *, warning: bool) -> Iterator[Finding]:
        place = place_of(self.root, path)
        yield Finding(problem_at(place, spelled(path), message), warning)
