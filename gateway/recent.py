"""Remembers what was worked out lately, within a bound that no flood of questions can break."""

from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(dict[Key, Value], Generic[Key, Value]):
    """A dict of two generations: a hit costs one look-up, and the older half is dropped whole.

    Read it by `recent[key]` (KeyError: not remembered), write it by `keep`. Keys must hold every
    input of what is remembered. At most twice *bound* entries are held, and of keys at most twice
    *room*, in the unit of *weigh*: what is remembered for a key must not be of another magnitude.
    """

    __slots__ = ("_bound", "_older", "_room", "_weigh", "_weight")

    def __init__(
        self, bound: int, *, room: float = inf, weigh: Callable[[Key], int] | None = None
    ) -> None:
        super().__init__()
        self._bound = bound
        self._room = room
        self._weigh = weigh
        self._weight = 0
        self._older: dict[Key, Value] = {}

    def __missing__(self, key: Key) -> Value:
        value = self._older[key]
        self.keep(key, value)
        return value

    def keep(self, key: Key, value: Value) -> None:
        """Remember *value* for *key*."""
        weight = 0 if self._weigh is None else self._weigh(key)
        if len(self) >= self._bound or self._weight + weight > self._room:
            self._older = dict(self)
            super().clear()
            self._weight = 0
        self._weight += weight
        self[key] = value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._older.clear()
        self._weight = 0

    def held(self) -> int:
        """Return how many entries are held in all."""
        return len(self) + len(self._older)
