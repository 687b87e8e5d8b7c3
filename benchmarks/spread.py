"""How evenly connections are spread over workers, and how many workers that keeps busy.

Where every connection asks for as much, the worker with the most of them is the first at its limit;
then all together do what so many workers would do: all connections, divided by those of that one.
"""

import contextlib
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.field import Running

CONNECTIONS = (8, 16, 64, 256)
_TIMES = 8


def kept_busy(shares: Sequence[int]) -> float:
    """Return how many workers' work is done when the one with the most has all it can do."""
    return sum(shares) / max(shares)


def row(one: Running, counted: Callable[[Running], Counter[str]], path: str) -> list[str]:
    """Return the median of `kept_busy`, and the worst, for each of `CONNECTIONS`."""
    cells = []
    for number in CONNECTIONS:
        busy = [kept_busy(_ask_once(one, counted, path, number)) for _ in range(_TIMES)]
        cells.append(f"{statistics.median(busy):.1f} ({min(busy):.1f})")
    return cells


def _ask_once(
    one: Running, counted: Callable[[Running], Counter[str]], path: str, connections: int
) -> list[int]:
    """Ask once on each of so many connections, all open together; return how many came to whom."""
    headers = one.script(path).headers
    before = counted(one)
    with contextlib.ExitStack() as opened:
        for _ in range(connections):
            client = one.site.connect()
            opened.callback(client.close)
            client.request("GET", path, headers=headers)
            with client.getresponse() as answer:
                answer.read()
        return list((counted(one) - before).values())
