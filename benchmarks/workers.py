"""One worker and several: what a request costs, how evenly requests are spread, throughput.

The load and the upstream keep a core to themselves, and the workers share the others. On a machine
with two cores all workers share one: then this shows that more of them cost no more, and whether
connections are spread; throughput that grows needs a core for each.
"""

import os
import re
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks import table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Sample, interleaved, median, sample
from benchmarks.processes import LOAD_CORE
from benchmarks.systems.gateway import OPERATIONS_SOCKET, with_workers

_PATH = "/api/projects/42/items?page=2&sort=updated"
_HEAD = ("workers", "cores", "CPU µs/request", "best", "requests/s", "least busy", "busiest", "MB")
_COUNTED = re.compile(
    r"^gateway_requests_total\{[^}]*?(?:worker=\"(\d+)\")?\} ([0-9.e+]+)", re.MULTILINE
)


def run(rounds: int, seconds: float, connections: int) -> tuple[str, dict[str, Any]]:
    """The table, and the same as plain data."""
    cores = sorted(os.sched_getaffinity(0) - {LOAD_CORE})
    counts = sorted({1, 2, len(cores)})
    with prepared([with_workers(number) for number in counts]) as field:
        for one in field.running:
            one.process.spread_over(cores)
        before = {one.system.name: _by_worker(one) for one in field.running}
        samples = _measure(field, rounds, seconds, connections)
        answered = [_by_worker(one) - before[one.system.name] for one in field.running]
    rows = [
        _row(
            number, min(number, len(cores)), samples[with_workers(number).name], _shares(of, number)
        )
        for number, of in zip(counts, answered, strict=True)
    ]
    data = {row[0]: dict(zip(_HEAD, row, strict=True)) for row in rows}
    return table.markdown(_HEAD, rows), {"workers": data}


def _measure(
    field: Field, rounds: int, seconds: float, connections: int
) -> dict[str, list[Sample]]:
    def measure(one: Running) -> Sample:
        return sample(one, one.script(_PATH), seconds, connections)

    return interleaved(field, rounds, measure, lambda taken: f"{taken.cpu_us_per_request:.1f} µs")


def _row(number: int, cores: int, taken: Sequence[Sample], shares: Sequence[float]) -> list[str]:
    return [
        str(number),
        str(cores),
        f"{median(taken, lambda s: s.cpu_us_per_request):.1f}",
        f"{min(s.cpu_us_per_request for s in taken):.1f}",
        f"{median(taken, lambda s: s.requests_per_second):,.0f}",
        f"{min(shares):.0%}",
        f"{max(shares):.0%}",
        f"{median(taken, lambda s: s.resident_bytes) / 1e6:.0f}",
    ]


def _shares(answered: Counter[str], number: int) -> list[float]:
    """Return which part of the requests each worker has answered; idle ones are not counted."""
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
