"""Remembers what was worked out lately, within a bound that no flood of questions can break."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(dict[Key, Value], Generic[Key, Value]):
    """A dict of two generations: a hit costs one look-up, and the older half is dropped whole.

    Read it by `recent[key]` (KeyError: not remembered), write it by `keep`; at most twice *bound*
    entries are held. Keys must hold every input of what is remembered.
    """

    __slots__ = ("_bound", "_older")

    def __init__(self, bound: int) -> None:
        super().__init__()
        self._bound = bound
        self._older: dict[Key, Value] = {}

    def __missing__(self, key: Key) -> Value:
        value = self._older[key]
        self.keep(key, value)
        return value

    def keep(self, key: Key, value: Value) -> None:
        """Remember *value* for *key*."""
        if len(self) >= self._bound:
            self._older = dict(self)
            super().clear()
        self[key] = value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._older.clear()

    def held(self) -> int:
        """Return how many entries are held in all."""
        return len(self) + len(self._older)
