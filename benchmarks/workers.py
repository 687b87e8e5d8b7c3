"""One worker and several, each on a small core of its own: what N of them get through together.

The load and the upstream keep a core to themselves. A machine seldom has a core for each of eight
workers beside it, so each worker may use a twentieth of one (`benchmarks/small_cores.py`): if they
share nothing else, N get through N times as much as one. Where the system does not let us do that,
all share the other cores; then only what a request costs is told, and how requests are spread.
"""

import contextlib
import os
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import spread, table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Sample, interleaved, median, median_ratio, sample
from benchmarks.processes import LOAD_CORE, DidNotStart
from benchmarks.small_cores import SHARE, NotAllowed, SmallCores, small_cores
from benchmarks.systems.gateway import OPERATIONS_SOCKET, with_workers

_COUNTS = (1, 2, 4, 8)
_PATH = "/api/projects/42/items?page=2&sort=updated"
_HEAD = (
    *("workers", "requests/s", "× one", "of N × one", "CPU used", "CPU µs/request", "best"),
    *("least busy", "busiest", "p99 ms", "MB"),
)
_SPREAD = ("workers kept busy", *(f"{number} connections" for number in spread.CONNECTIONS))
_COUNTED = re.compile(
    r"^gateway_requests_total\{[^}]*?(?:worker=\"(\d+)\")?\} ([0-9.e+]+)", re.MULTILINE
)


def run(rounds: int, seconds: float, connections: int) -> tuple[str, dict[str, Any]]:
    """The tables, and the same as plain data."""
    with _cores() as (small, told):
        rows, spreads = _all(small, rounds, seconds, connections)
    text = f"{told}\n\n{table.markdown(_HEAD, rows)}\n\n{table.markdown(_SPREAD, spreads)}"
    data = {row[0]: dict(zip(_HEAD, row, strict=True)) for row in rows}
    spread_data = {row[0]: dict(zip(_SPREAD, row, strict=True)) for row in spreads}
    return text, {"cores": told, "workers": data, "spread": spread_data}


@contextlib.contextmanager
def _cores() -> Iterator[tuple[SmallCores | None, str]]:
    """Give small cores if there may be any, and say in words what the workers run on."""
    with contextlib.ExitStack() as stack:
        small = None
        try:
            small = stack.enter_context(small_cores())
            told = f"each worker may use {SHARE:.0%} of a core"
        except NotAllowed as error:
            told = f"all workers share the cores that the load leaves free, since {error}"
        print(told, file=sys.stderr, flush=True)
        yield small, told


def _all(
    small: SmallCores | None, rounds: int, seconds: float, connections: int
) -> tuple[list[list[str]], list[list[str]]]:
    cores = sorted(os.sched_getaffinity(0) - {LOAD_CORE})
    counts = _COUNTS if small else sorted({1, 2, len(cores)})
    with prepared([with_workers(number) for number in counts]) as field:
        spreads = []
        for number, one in zip(counts, field.running, strict=True):
            _wait_for_all(one, number)
            one.process.spread_over(cores)
            if number > 1:
                spreads.append([str(number), *spread.row(one, _by_worker, _PATH)])
            if small:
                small.give(one.process.workers())
        before = {one.system.name: _by_worker(one) for one in field.running}
        wanted = {with_workers(number).name: number * connections for number in counts}
        samples = _measure(field, rounds, seconds, wanted)
        answered = [_by_worker(one) - before[one.system.name] for one in field.running]
    alone = samples[with_workers(1).name]
    rows = [
        row(number, samples[with_workers(number).name], alone, shares(of, number))
        for number, of in zip(counts, answered, strict=True)
    ]
    return rows, spreads


def _wait_for_all(one: Running, number: int) -> None:
    deadline = time.monotonic() + 30
    while one.process.log.read_text().count("listening on ") < number:
        if time.monotonic() > deadline:
            raise DidNotStart(one.process.log.read_text())
        time.sleep(0.05)


def _measure(
    field: Field, rounds: int, seconds: float, connections: Mapping[str, int]
) -> dict[str, list[Sample]]:
    def measure(one: Running) -> Sample:
        return sample(one, one.script(_PATH), seconds, connections[one.system.name])

    def told(taken: Sample) -> str:
        return f"{taken.requests_per_second:.0f}/s, {taken.cpu_us_per_request:.1f} µs"

    return interleaved(field, rounds, measure, told)


def row(
    number: int, taken: Sequence[Sample], alone: Sequence[Sample], part: Sequence[float]
) -> list[str]:
    """Return a line of the table: *number* workers beside one *alone* in the same rounds.

    CPU used is in cores, whole ones; *part* is which part of the requests each worker has answered.
    """
    times = median_ratio(taken, alone, lambda one: one.requests_per_second)
    return [
        str(number),
        f"{median(taken, lambda one: one.requests_per_second):,.0f}",
        f"{times:.2f}",
        f"{times / number:.0%}",
        f"{median(taken, lambda one: one.cpu_seconds / one.load.seconds):.2f}",
        f"{median(taken, lambda one: one.cpu_us_per_request):.1f}",
        f"{min(one.cpu_us_per_request for one in taken):.1f}",
        f"{min(part):.0%}",
        f"{max(part):.0%}",
        f"{median(taken, lambda one: one.load.p99_us) / 1000:.0f}",
        f"{median(taken, lambda one: one.resident_bytes) / 1e6:.0f}",
    ]


def shares(answered: Counter[str], number: int) -> list[float]:
    """Return which part of the requests each of *number* workers has answered, idle ones too."""
    idle = [0] * (number - len(answered))
    return [count / answered.total() for count in (*answered.values(), *idle)]


def _by_worker(one: Running) -> Counter[str]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(one.site.folder / OPERATIONS_SOCKET))
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with client.makefile() as answer:
            text = answer.read()
    counted: Counter[str] = Counter()
    for worker, count in _COUNTED.findall(text):
        counted[worker] += int(float(count))
    return counted
