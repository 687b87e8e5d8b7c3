"""One measurement of one system under load, and the medians of many."""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks import wrk
from benchmarks.field import Field, Running

Taken = TypeVar("Taken")
Pick = Callable[["Sample"], float]


class Spoiled(Exception):
    """Load that was refused or broke off measures something else than what was asked."""


@dataclass(frozen=True, slots=True)
class Sample:
    load: wrk.Load
    cpu_seconds: float
    resident_bytes: int

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_seconds * 1e6 / self.load.requests

    @property
    def requests_per_second(self) -> float:
        return self.load.requests / self.load.seconds

    @property
    def megabytes_per_second(self) -> float:
        return self.load.bytes / self.load.seconds / 1e6


def sample(running: Running, script: wrk.Script, seconds: float, connections: int) -> Sample:
    before = running.process.cpu_seconds()
    load = wrk.run(script, running.site.folder, seconds, connections)
    after = running.process.cpu_seconds()
    if load.refused or load.broken or not load.requests:
        told = f"{load.requests} answered, {load.refused} refused, {load.broken} broken"
        raise Spoiled(told)
    return Sample(load, after - before, running.process.resident_bytes())


def interleaved(
    field: Field,
    rounds: int,
    measure: Callable[[Running], Taken],
    told: Callable[[Taken], str],
) -> dict[str, list[Taken]]:
    """Measure every system once in each round; one whose load breaks off leaves the field."""
    samples: dict[str, list[Taken]] = {one.system.name: [] for one in field.running}
    for number in range(1, rounds + 1):
        for one in list(field.running):
            name = one.system.name
            try:
                taken = measure(one)
            except Spoiled as error:
                print(f"{name} left out: {error}", file=sys.stderr, flush=True)
                field.leave_out(one, str(error))
                del samples[name]
                continue
            samples[name].append(taken)
            print(f"round {number}/{rounds}: {name} {told(taken)}", file=sys.stderr, flush=True)
    return samples


def median(samples: Sequence[Sample], pick: Pick) -> float:
    return statistics.median(pick(one) for one in samples)


def median_ratio(samples: Sequence[Sample], reference: Sequence[Sample], pick: Pick) -> float:
    """Rounds are paired, so what disturbed a whole round disturbs its ratio least."""
    pairs = zip(samples, reference, strict=True)
    return statistics.median(pick(one) / pick(other) for one, other in pairs)
