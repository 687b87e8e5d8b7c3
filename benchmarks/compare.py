"""The comparison: an authenticated GET as a browser sends it, every system, interleaved rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import table
from benchmarks.field import Field, Running, prepared
from benchmarks.measure import Sample, interleaved, median, median_ratio, sample
from benchmarks.systems.catalogue import REFERENCES
from benchmarks.systems.system import System

_PATH = "/api/projects/42/items?page=2&sort=updated"
_HEAD = (
    "system",
    "CPU µs/request",
    "best",
    "× HAProxy HS256",
    "× HAProxy ES256",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "RSS MB",
    "auth",
)


def _cpu(taken: Sample) -> float:
    return taken.cpu_us_per_request


@dataclass(frozen=True, slots=True)
class Figures:
    system: System
    samples: Sequence[Sample]
    ratios: Sequence[float | None]

    def row(self) -> tuple[str, ...]:
        return (
            self.system.name,
            f"{median(self.samples, _cpu):.1f}",
            f"{min(map(_cpu, self.samples)):.1f}",
            *("–" if ratio is None else f"{ratio:.2f}" for ratio in self.ratios),
            f"{median(self.samples, lambda s: s.requests_per_second):.0f}",
            f"{median(self.samples, lambda s: s.load.p50_us) / 1000:.2f}",
            f"{median(self.samples, lambda s: s.load.p99_us) / 1000:.2f}",
            f"{median(self.samples, lambda s: s.resident_bytes) / 1e6:.0f}",
            self.system.does if self.system.checks_token else f"no auth ({self.system.does})",
        )

    def plain(self) -> dict[str, Any]:
        return {
            "system": self.system.name,
            "does": self.system.does,
            "checks_token": self.system.checks_token,
            "cpu_us_per_request": median(self.samples, _cpu),
            "ratios": dict(zip(REFERENCES, self.ratios, strict=True)),
            "requests_per_second": median(self.samples, lambda s: s.requests_per_second),
            "p50_us": median(self.samples, lambda s: s.load.p50_us),
            "p99_us": median(self.samples, lambda s: s.load.p99_us),
            "resident_bytes": median(self.samples, lambda s: s.resident_bytes),
            "rounds": [_cpu(sample) for sample in self.samples],
        }


def run(
    systems: Sequence[System], rounds: int, seconds: float, connections: int, pages: int
) -> tuple[str, dict[str, Any]]:
    """The table, and the same as plain data."""
    with prepared(systems) as field:
        samples = _measure(field, rounds, seconds, connections, pages)
        figures = [
            Figures(one.system, samples[one.system.name], _ratios(samples, one.system.name))
            for one in field.running
        ]
        left_out = dict(field.left_out)
    text = table.markdown(_HEAD, [one.row() for one in figures])
    notes = "".join(f"\n{name}: left out, {why}" for name, why in left_out.items())
    return text + notes, {"systems": [one.plain() for one in figures], "left_out": left_out}


def _measure(
    field: Field, rounds: int, seconds: float, connections: int, pages: int
) -> dict[str, list[Sample]]:
    scripts = {one.system.name: replace(one.script(_PATH), pages=pages) for one in field.running}

    def measure(one: Running) -> Sample:
        return sample(one, scripts[one.system.name], seconds, connections)

    def warm(one: Running) -> Sample:
        return sample(one, scripts[one.system.name], 1, connections)

    interleaved(field, 1, warm, lambda _: "warm")
    return interleaved(field, rounds, measure, lambda taken: f"{_cpu(taken):.1f} µs")


def _ratios(samples: Mapping[str, Sequence[Sample]], name: str) -> list[float | None]:
    return [
        median_ratio(samples[name], samples[reference], _cpu) if reference in samples else None
        for reference in REFERENCES
    ]
