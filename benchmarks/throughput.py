"""Bodies through each system: 100 KB up and 10 MB down, as a share of what nginx moves.

nginx is there twice. By its defaults it copies in pieces of 8 KB and writes what the client has not
read to a file; with larger buffers it is as good as it gets.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Pick, Sample, interleaved, median, median_ratio, sample
from benchmarks.systems.envoy import ENVOY_HS256
from benchmarks.systems.gateway import GATEWAY
from benchmarks.systems.haproxy import HAPROXY_HS256
from benchmarks.systems.nginx import NGINX, NGINX_LARGE
from benchmarks.systems.system import System
from benchmarks.upstream import DOCUMENTS_PATH, LARGE_BYTES, LARGE_PATH
from benchmarks.wrk import Script

USUAL = (GATEWAY, HAPROXY_HS256, ENVOY_HS256, NGINX, NGINX_LARGE)
_UPLOAD_BYTES = 100_000
_CONNECTIONS = 8
_HEAD = (
    "system",
    "MB/s",
    "× nginx",
    "× nginx-64k",
    "CPU ms/MB",
    "best",
    "CPU × nginx-64k",
    "p99 ms",
    "RSS MB",
)


@dataclass(frozen=True, slots=True)
class Direction:
    name: str
    path: str
    method: str
    body_bytes: int
    bytes_per_request: int

    def script(self, running: Running) -> Script:
        return running.script(self.path, self.method, self.body_bytes)

    def megabytes(self, taken: Sample) -> float:
        return taken.load.requests * self.bytes_per_request / 1e6

    def rate(self, taken: Sample) -> float:
        return self.megabytes(taken) / taken.load.seconds

    def cost(self, taken: Sample) -> float:
        return taken.cpu_seconds * 1000 / self.megabytes(taken)


_DIRECTIONS = (
    Direction("upload 100 KB", f"{DOCUMENTS_PATH}report.pdf", "PUT", _UPLOAD_BYTES, _UPLOAD_BYTES),
    Direction("download 10 MB", LARGE_PATH, "GET", 0, LARGE_BYTES),
)


def run(systems: Sequence[System], rounds: int, seconds: float) -> tuple[str, dict[str, Any]]:
    """A table for each direction, and the same as plain data."""
    with prepared(systems) as field:
        measured = {
            direction: _measure(field, direction, rounds, seconds) for direction in _DIRECTIONS
        }
        left_out = dict(field.left_out)
    texts = [
        f"{direction.name}\n\n{_table(direction, samples)}"
        for direction, samples in measured.items()
    ]
    texts += [f"{name}: left out, {why}" for name, why in left_out.items()]
    data = {
        direction.name: {
            name: {
                "megabytes_per_second": median(taken, direction.rate),
                "cpu_ms_per_megabyte": median(taken, direction.cost),
            }
            for name, taken in samples.items()
        }
        for direction, samples in measured.items()
    }
    return "\n\n".join(texts), {"throughput": data, "left_out": left_out}


def _measure(
    field: Field, direction: Direction, rounds: int, seconds: float
) -> dict[str, list[Sample]]:
    def measure(one: Running) -> Sample:
        return sample(one, direction.script(one), seconds, _CONNECTIONS)

    def told(taken: Sample) -> str:
        return f"{direction.rate(taken):.0f} MB/s"

    print(direction.name, file=sys.stderr, flush=True)
    return interleaved(field, rounds, measure, told)


def _table(direction: Direction, samples: dict[str, list[Sample]]) -> str:
    def share(taken: list[Sample], reference: str, pick: Pick) -> str:
        if reference not in samples:
            return "–"
        return f"{median_ratio(taken, samples[reference], pick):.2f}"

    rows = [
        (
            name,
            f"{median(taken, direction.rate):.0f}",
            share(taken, NGINX.name, direction.rate),
            share(taken, NGINX_LARGE.name, direction.rate),
            f"{median(taken, direction.cost):.2f}",
            f"{min(map(direction.cost, taken)):.2f}",
            share(taken, NGINX_LARGE.name, direction.cost),
            f"{median(taken, lambda s: s.load.p99_us) / 1000:.1f}",
            f"{median(taken, lambda s: s.resident_bytes) / 1e6:.0f}",
        )
        for name, taken in samples.items()
    ]
    return table.markdown(_HEAD, rows)
