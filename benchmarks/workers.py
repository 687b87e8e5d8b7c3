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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import spread, table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Sample, interleaved, median, median_ratio, sample
from benchmarks.processes import LOAD_CORE, DidNotStart
from benchmarks.small_cores import SHARE, NotAllowed, SmallCores, small_cores
from benchmarks.systems.gateway import OPERATIONS_SOCKET, with_workers
from benchmarks.wrk import Load

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


@dataclass(frozen=True, slots=True)
class _Group:
    """So many workers, of one gateway or each a gateway of its own."""

    name: str
    workers: int
    members: Sequence[Running]

    def answered(self) -> Counter[str]:
        """Return how many requests each has answered so far."""
        return Counter(
            {
                f"{one.system.name} {worker}": count
                for one in self.members
                for worker, count in _by_worker(one).items()
            }
        )


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
    apart = [replace(with_workers(1), name=f"gateway-apart-{n}") for n in range(counts[-1])]
    systems = [with_workers(number) for number in counts] + (apart if small else [])
    with prepared(systems) as field:
        groups = _groups(field, counts)
        for group in groups:
            for one in group.members:
                _wait_for_all(one, group.workers // len(group.members))
                one.process.spread_over(cores)
        spreads = [
            [group.name, *spread.row(group.members[0], _by_worker, _PATH)]
            for group in groups
            if group.workers > len(group.members)
        ]
        if small:
            small.give(worker for one in field.running for worker in one.process.workers())
        before = [group.answered() for group in groups]
        samples = _measure(groups, field, rounds, seconds, connections)
        answered = [group.answered() - then for group, then in zip(groups, before, strict=True)]
    rows = [
        [group.name, *row(group.workers, taken, samples[0], shares(of, group.workers))]
        for group, taken, of in zip(groups, samples, answered, strict=True)
    ]
    return rows, spreads


def _groups(field: Field, counts: Sequence[int]) -> list[_Group]:
    """Return the gateways by how many workers they have, and those apart as one more group."""
    several, apart = field.running[: len(counts)], field.running[len(counts) :]
    groups = [
        _Group(str(number), number, [one]) for number, one in zip(counts, several, strict=True)
    ]
    return groups + ([_Group(f"{len(apart)} gateways", len(apart), apart)] if apart else [])


def _wait_for_all(one: Running, number: int) -> None:
    deadline = time.monotonic() + 30
    while one.process.log.read_text().count("listening on ") < number:
        if time.monotonic() > deadline:
            raise DidNotStart(one.process.log.read_text())
        time.sleep(0.05)


def _measure(
    groups: Sequence[_Group], field: Field, rounds: int, seconds: float, connections: int
) -> list[list[Sample]]:
    """Measure every group once in each round; its members all at the same time."""
    members = {group.members[0].system.name: group for group in groups}
    everybody = list(field.running)
    field.running[:] = [group.members[0] for group in groups]

    def measure(first: Running) -> Sample:
        group = members[first.system.name]
        each = connections * group.workers // len(group.members)
        with ThreadPoolExecutor(len(group.members)) as beside:
            taken = beside.map(
                lambda one: sample(one, one.script(_PATH), seconds, each), group.members
            )
            return together(list(taken))

    def told(taken: Sample) -> str:
        return f"{taken.requests_per_second:.0f}/s, {taken.cpu_us_per_request:.1f} µs"

    samples = interleaved(field, rounds, measure, told)
    field.running[:] = everybody
    return [samples[name] for name in members]


def together(taken: Sequence[Sample]) -> Sample:
    """Return what gateways did that were measured at the same time; the slowest one's latencies."""
    loads = [one.load for one in taken]
    load = Load(
        requests=sum(one.requests for one in loads),
        seconds=max(one.seconds for one in loads),
        bytes=sum(one.bytes for one in loads),
        p50_us=max(one.p50_us for one in loads),
        p99_us=max(one.p99_us for one in loads),
        refused=sum(one.refused for one in loads),
        broken=sum(one.broken for one in loads),
    )
    cpu_seconds = sum(one.cpu_seconds for one in taken)
    return Sample(load, cpu_seconds, sum(one.resident_bytes for one in taken))


def row(
    number: int, taken: Sequence[Sample], alone: Sequence[Sample], part: Sequence[float]
) -> list[str]:
    """Return what *number* workers did, beside one *alone* in the same rounds.

    CPU used is in cores, whole ones; *part* is which part of the requests each worker has answered.
    """
    times = median_ratio(taken, alone, lambda one: one.requests_per_second)
    return [
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
