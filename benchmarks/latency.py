"""Latency at half load: requests due at random moments, at the same rate for all and at their own.

*Capacity* is what a system got through in a closed loop just before. The common rate is half of
what the slower of gateway and Envoy can do; a system's own rate is half of what it can do itself.
"""

import itertools
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import open_loop, table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Spoiled, interleaved, median, sample
from benchmarks.open_loop import Load, Order
from benchmarks.systems.envoy import ENVOY_HS256
from benchmarks.systems.gateway import GATEWAY, GATEWAY_LOG
from benchmarks.systems.haproxy import HAPROXY_HS256
from benchmarks.systems.nginx import NGINX
from benchmarks.systems.system import System

USUAL = (GATEWAY, GATEWAY_LOG, HAPROXY_HS256, ENVOY_HS256, NGINX)
_PATH = "/api/projects/42/items?page=2&sort=updated"
_CONNECTIONS = 64
_CAPACITY_ROUNDS = 3
# Whose halves the common rate is made of: the lower one.
_COMPARED = (GATEWAY.name, ENVOY_HS256.name)
_HEAD = ("system", "load", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "p99 × Envoy", "best p99")


@dataclass(frozen=True, slots=True)
class Told:
    """What one system showed at one rate, round by round."""

    name: str
    load: str
    rate: float
    rounds: Sequence[Load]

    def median(self, pick: Callable[[Load], float]) -> float:
        return statistics.median(map(pick, self.rounds))

    def row(self, reference: "Told | None") -> tuple[str, ...]:
        return (
            self.name,
            self.load,
            f"{self.rate:.0f}",
            f"{self.median(lambda load: load.p50):.2f}",
            f"{self.median(lambda load: load.p99):.2f}",
            f"{self.median(lambda load: load.p999):.2f}",
            "–" if reference is None else f"{ratio(self.rounds, reference.rounds):.2f}",
            f"{min(load.p99 for load in self.rounds):.2f}",
        )


def run(systems: Sequence[System], rounds: int, seconds: float) -> tuple[str, dict[str, Any]]:
    """The table, and the same as plain data."""
    with prepared(systems) as field:
        capacities = _capacities(field)
        told = [
            one
            for load, rates in loads(capacities).items()
            for one in _measure(field, load, rates, rounds, seconds)
        ]
        left_out = dict(field.left_out)
    reference = {one.load: one for one in told if one.name == ENVOY_HS256.name}
    text = table.markdown(_HEAD, [one.row(reference.get(one.load)) for one in told])
    notes = "".join(f"\n{name}: left out, {why}" for name, why in left_out.items())
    data = {"capacities": capacities, "latency": [asdict(one) for one in told]}
    return text + notes, {**data, "left_out": left_out}


def loads(capacities: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The rates at which each system is asked: half of the slower one's, and half of its own."""
    slower = min(
        [capacities[name] for name in _COMPARED if name in capacities] or capacities.values()
    )
    return {
        "common": dict.fromkeys(capacities, slower / 2),
        "own half": {name: capacity / 2 for name, capacity in capacities.items()},
    }


def ratio(rounds: Sequence[Load], reference: Sequence[Load]) -> float:
    """The p99 as a multiple of the reference's in the same round, median of the rounds."""
    pairs = zip(rounds, reference, strict=True)
    return statistics.median(one.p99 / other.p99 for one, other in pairs)


def _capacities(field: Field) -> dict[str, float]:
    print("capacities", file=sys.stderr, flush=True)
    samples = interleaved(
        field,
        _CAPACITY_ROUNDS,
        lambda one: sample(one, one.script(_PATH), 1, _CONNECTIONS),
        lambda taken: f"{taken.requests_per_second:.0f}/s",
    )
    return {
        name: median(taken, lambda one: one.requests_per_second) for name, taken in samples.items()
    }


def _measure(
    field: Field, load: str, rates: Mapping[str, float], rounds: int, seconds: float
) -> list[Told]:
    seeds = {one.system.name: itertools.count() for one in field.running}

    def measure(one: Running) -> Load:
        name = one.system.name
        taken = open_loop.run(_order(one, rates[name], seconds, next(seeds[name])))
        if taken.broken:
            raise Spoiled(f"{taken.broken} of {taken.requests + taken.broken} never answered")
        return taken

    print(load, file=sys.stderr, flush=True)
    taken = interleaved(field, rounds, measure, lambda one: f"p99 {one.p99:.2f} ms")
    return [Told(name, load, rates[name], each) for name, each in taken.items()]


def _order(one: Running, rate: float, seconds: float, seed: int) -> Order:
    headers = one.script(_PATH).headers
    return Order(one.site.port, _PATH, headers, rate, seconds, _CONNECTIONS, seed)
