"""What all workers count together, such as connections: in one memory, and without a lock.

Each number in it has a single writer, the worker whose place it belongs to; whoever wants to know
adds up what all have written. For the last of the room, workers may come at the same moment: each
that writes before it looks rather sees one too many than one too few.

Names are counted in a sketch (count-min): every name has a cell in each of a few rows, and shares
it with whatever happens to have the same. So the least of its cells is never too low, and too high
only where all of them are shared. Which ones they are depends on a secret, or somebody could look
for an address that shares its cells with a victim's.
"""

from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final

from gateway.counts import forget_one

# With 10,000 names at other workers, 4 in 10,000 new ones are counted one too high.
COLUMNS: Final = 65_536
_ROWS: Final = 4
_KEPT: Final = 1024
_COLUMN_IN_EACH_ROW: Final = Struct(f"={_ROWS}H")
_TOTAL: Final = "Q"
_TOTAL_BYTES: Final = 8
_CELL: Final = "I"
_CELL_BYTES: Final = 4


def size_of(workers: int, columns: int = COLUMNS) -> int:
    """Return how many bytes the counts of so many *workers* take where all are used."""
    return workers * (_TOTAL_BYTES + _ROWS * columns * _CELL_BYTES)


class SharedCounts:
    """What the worker at one place counts, and what it sees of the others.

    *memory* is of `size_of` bytes, zero at first; *secret* and *columns* are the same for all.
    """

    def __init__(
        self, memory: memoryview, place: int, workers: int, secret: bytes, columns: int = COLUMNS
    ) -> None:
        totals = workers * _TOTAL_BYTES
        self._totals = memory[:totals].cast(_TOTAL)
        self._place = place
        self._cells = memory[totals:].cast(_CELL)
        self._cells_each = _ROWS * columns
        self._own_cells = self._cells[place * self._cells_each :][: self._cells_each]
        self._secret = secret
        self._columns = columns
        # Its own it knows exactly: only those of others can be taken for somebody else's.
        self._own: Counter[str] = Counter()
        self._cells_of = lru_cache(_KEPT)(self._drawn)

    def add(self, name: str) -> None:
        """See `Counts.add`."""
        self._totals[self._place] += 1
        if name:
            self._own[name] += 1
            for cell in self._cells_of(name):
                self._own_cells[cell] += 1

    def remove(self, name: str) -> None:
        """See `Counts.remove`."""
        self._totals[self._place] -= 1
        if name:
            forget_one(self._own, name)
            for cell in self._cells_of(name):
                self._own_cells[cell] -= 1

    def total(self) -> int:
        """Return how many there are at all workers."""
        return sum(self._totals)

    def of(self, name: str) -> int:
        """Return how many there are of *name* at all workers: never too few, seldom too many."""
        others = min(
            sum(self._cells[cell :: self._cells_each]) - self._own_cells[cell]
            for cell in self._cells_of(name)
        )
        return self._own[name] + others

    def clear(self) -> None:
        """Forget what a worker counted that is dead, and whose things are gone with it."""
        self._totals[self._place] = 0
        self._own_cells[:] = memoryview(bytes(self._own_cells.nbytes)).cast(_CELL)

    def _drawn(self, name: str) -> tuple[int, ...]:
        """Return which cells *name* has, one in each row."""
        digest = blake2b(
            name.encode(errors="surrogatepass"),
            key=self._secret,
            digest_size=_COLUMN_IN_EACH_ROW.size,
        )
        columns = _COLUMN_IN_EACH_ROW.unpack(digest.digest())
        return tuple(
            row * self._columns + column % self._columns for row, column in enumerate(columns)
        )
