"""What was built for a part of the configuration, kept for as long as the one in force asks for it.

A new configuration is put together as a draft. It takes what fits from the shelf and builds the
rest; until it is committed, nothing that is in use has changed.
"""

from collections.abc import Awaitable, Callable, Hashable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, cast

Built = TypeVar("Built")
Build = Callable[[AsyncExitStack], Awaitable[Built]]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    value: Any
    closing: AsyncExitStack


class Shelf:
    """The pieces in use, each under what it was built for."""

    def __init__(self) -> None:
        self._pieces: dict[Hashable, _Piece] = {}

    def draft(self) -> "Draft":
        """Begin a new set of pieces. One draft at a time."""
        return Draft(self._pieces)

    async def close(self) -> None:
        """Close everything, what was built last first."""
        pieces, self._pieces = self._pieces, {}
        await _closing(pieces).aclose()

    def commit(self, draft: "Draft") -> AsyncExitStack:
        """Put *draft* in force; what is returned closes the pieces that it has no use for."""
        left = {key: piece for key, piece in self._pieces.items() if key not in draft.pieces}
        self._pieces = draft.pieces
        return _closing(left)


class Draft:
    """A new set of pieces on its way."""

    def __init__(self, shelf: dict[Hashable, _Piece]) -> None:
        self._shelf = shelf
        self.pieces: dict[Hashable, _Piece] = {}

    async def take(self, key: Hashable, build: Build[Built]) -> Built:
        """Return what was built for *key* before, else what *build* makes now.

        *build* leaves with the stack it is given what must be closed one day.
        """
        piece = self.pieces.get(key) or self._shelf.get(key)
        if piece is None:
            closing = AsyncExitStack()
            try:
                piece = _Piece(await build(closing), closing)
            except BaseException:
                await closing.aclose()
                raise
        self.pieces[key] = piece
        return cast("Built", piece.value)

    async def abandon(self) -> None:
        """Close what was built for nothing."""
        new = {key: piece for key, piece in self.pieces.items() if key not in self._shelf}
        await _closing(new).aclose()


def _closing(pieces: dict[Hashable, _Piece]) -> AsyncExitStack:
    stack = AsyncExitStack()
    for piece in pieces.values():
        stack.push_async_callback(piece.closing.aclose)
    return stack
