"""How many there are of something that comes and goes: in all, and of each name."""

from collections import Counter
from typing import Protocol


class Counts(Protocol):
    """What is there. Something whose *name* is empty is one of all, and counted by no name."""

    def add(self, name: str) -> None:
        """Count one more of *name*."""

    def remove(self, name: str) -> None:
        """Count one less: it was added before."""

    def total(self) -> int:
        """Return how many there are."""

    def of(self, name: str) -> int:
        """Return how many there are of *name*: never too few."""


class OwnCounts:
    """What is in this process, where no other counts with it."""

    def __init__(self) -> None:
        self._total = 0
        self._by_name: Counter[str] = Counter()

    def add(self, name: str) -> None:
        self._total += 1
        if name:
            self._by_name[name] += 1

    def remove(self, name: str) -> None:
        self._total -= 1
        if name:
            forget_one(self._by_name, name)

    def total(self) -> int:
        return self._total

    def of(self, name: str) -> int:
        return self._by_name[name]


def forget_one(counted: Counter[str], name: str) -> None:
    """Count one less of *name*, and keep nothing of those of which there is none left."""
    counted[name] -= 1
    if not counted[name]:
        del counted[name]
