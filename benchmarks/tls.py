"""TLS: new connections, full and resumed, small requests on kept ones, and 10 MB downloads.

Every system shows the same certificate (ECDSA P-256) and lets OpenSSL choose the cipher. What is
told first is CPU time: a client pays more for a handshake than its server, so handshakes per second
would be a figure of the load generator.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import handshakes, table
from benchmarks.field import Running, prepared
from benchmarks.handshakes import Order
from benchmarks.measure import Spoiled, interleaved, sample
from benchmarks.systems.gateway import GATEWAY
from benchmarks.systems.haproxy import HAPROXY_HS256
from benchmarks.systems.nginx import NGINX_LARGE
from benchmarks.systems.system import System
from benchmarks.upstream import LARGE_BYTES, LARGE_PATH

USUAL = (GATEWAY, HAPROXY_HS256, NGINX_LARGE)
_PATH = "/api/projects/42/items?page=2&sort=updated"
_SMALL_CONNECTIONS = 64
_LARGE_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Taken:
    """CPU time for a unit of work, and units in a second: connections, requests, megabytes."""

    cpu_us: float
    rate: float
    cipher: str = "–"


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    unit: str
    measure: Callable[[Running, float], Taken]

    def table(self, taken: dict[str, list[Taken]]) -> str:
        head = (self.name, f"CPU µs/{self.unit}", "best", "× nginx-64k", f"{self.unit}/s", "cipher")
        reference = taken.get(NGINX_LARGE.name)
        rows = [
            (
                name,
                f"{statistics.median(one.cpu_us for one in each):.1f}",
                f"{min(one.cpu_us for one in each):.1f}",
                "–" if reference is None else f"{_ratio(each, reference):.2f}",
                f"{statistics.median(one.rate for one in each):.0f}",
                each[0].cipher,
            )
            for name, each in taken.items()
        ]
        return table.markdown(head, rows)


def run(systems: Sequence[System], rounds: int, seconds: float) -> tuple[str, dict[str, Any]]:
    """A table for each kind of work, and the same as plain data."""
    texts, data = [], {}
    with prepared(systems, tls=True) as field:
        for work in _WORKS:
            print(work.name, file=sys.stderr, flush=True)
            measure = partial(_measured, work, seconds)
            taken = interleaved(field, rounds, measure, lambda one: f"{one.cpu_us:.1f} µs")
            texts.append(work.table(taken))
            data[work.name] = {
                name: [(one.cpu_us, one.rate) for one in each] for name, each in taken.items()
            }
        left_out = dict(field.left_out)
    texts += [f"{name}: left out, {why}" for name, why in left_out.items()]
    return "\n\n".join(texts), {"tls": data, "left_out": left_out}


def _measured(work: Work, seconds: float, running: Running) -> Taken:
    return work.measure(running, seconds)


def _ratio(taken: Sequence[Taken], reference: Sequence[Taken]) -> float:
    pairs = zip(taken, reference, strict=True)
    return statistics.median(one.cpu_us / other.cpu_us for one, other in pairs)


def _connections(running: Running, seconds: float, *, resumed: bool) -> Taken:
    headers = running.script(_PATH).headers
    before = running.process.cpu_seconds()
    load = handshakes.run(Order(running.site.port, _PATH, headers, seconds, resumed))
    spent = running.process.cpu_seconds() - before
    if load.unlike:
        kind = "full" if resumed else "resumed"
        raise Spoiled(f"{load.unlike} of {load.connections} handshakes were {kind}")
    return Taken(spent * 1e6 / load.connections, load.connections / load.seconds, load.cipher)


def _small(running: Running, seconds: float) -> Taken:
    taken = sample(running, running.script(_PATH), seconds, _SMALL_CONNECTIONS)
    return Taken(taken.cpu_us_per_request, taken.requests_per_second)


def _large(running: Running, seconds: float) -> Taken:
    taken = sample(running, running.script(LARGE_PATH), seconds, _LARGE_CONNECTIONS)
    megabytes = taken.load.requests * LARGE_BYTES / 1e6
    return Taken(taken.cpu_seconds * 1e6 / megabytes, megabytes / taken.load.seconds)


_WORKS = (
    Work("full handshakes", "connection", partial(_connections, resumed=False)),
    Work("resumed handshakes", "connection", partial(_connections, resumed=True)),
    Work("small requests", "request", _small),
    Work("10 MB downloads", "MB", _large),
)
