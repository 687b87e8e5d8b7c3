"""How many clients are connected: in all, and from each address."""

from collections import Counter
from typing import Protocol


class Counts(Protocol):
    """What is counted. A connection whose *address* is empty is nobody's, and one of all."""

    def add(self, address: str) -> None:
        """Count one more connection of *address*."""

    def remove(self, address: str) -> None:
        """Count one less: it was added before."""

    def total(self) -> int:
        """Return how many there are."""

    def of(self, address: str) -> int:
        """Return how many *address* has: never too few."""


class OwnCounts:
    """The connections of this process, where no other shares its port."""

    def __init__(self) -> None:
        self._total = 0
        self._by_address: Counter[str] = Counter()

    def add(self, address: str) -> None:
        self._total += 1
        if address:
            self._by_address[address] += 1

    def remove(self, address: str) -> None:
        self._total -= 1
        if address:
            forget_one(self._by_address, address)

    def total(self) -> int:
        return self._total

    def of(self, address: str) -> int:
        return self._by_address[address]


def forget_one(counted: Counter[str], name: str) -> None:
    """Count one less of *name*, and keep nothing of those of which there is none left."""
    counted[name] -= 1
    if not counted[name]:
        del counted[name]
