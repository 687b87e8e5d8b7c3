"""What is wrong with a configuration, and where: every complaint names a place and a key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a file with line and column (from 1), or a named source."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (or, as a warning, doubtful) and what would be right."""

    file: str
    line: int | None
    column: int | None
    key: str
    message: str

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (where, self.key, self.message) if part)


def problem_at(place: Place, key: str, message: str) -> Problem:
    return Problem(place.file, place.line, place.column, key, message)


class ConfigErrors(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it.

    `files` are those that it names, as far as it could be understood: one of them may be the cause.
    """

    def __init__(self, problems: Sequence[Problem], files: Collection[str] = ()) -> None:
        self.problems = tuple(problems)
        self.files = frozenset(files)
        super().__init__("\n".join(str(problem) for problem in self.problems))
