"""`python -m benchmarks`: the gateway and its peers, measured side by side on this machine."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import (
    compare,
    endurance,
    growth,
    idle,
    latency,
    start,
    throughput,
    tls,
    workers,
)
from benchmarks.systems.catalogue import ALL, NAMED
from benchmarks.systems.system import System

_SCENARIOS = {
    "compare": compare,
    "latency": latency,
    "throughput": throughput,
    "tls": tls,
    "idle": idle,
    "start": start,
    "growth": growth,
    "endurance": endurance,
    "workers": workers,
}
# These three are alike: rounds of so many seconds; and they have systems of their own.
_IN_ROUNDS = {"latency": latency.run, "throughput": throughput.run, "tls": tls.run}
_USUAL = {"latency": latency.USUAL, "throughput": throughput.USUAL, "tls": tls.USUAL}
# The gateway alone, configured for the purpose.
_OF_THE_GATEWAY: Mapping[str, Callable[[argparse.Namespace], tuple[str, dict[str, Any]]]] = {
    "growth": lambda told: growth.run(growth.ALL, told.rounds * 10, told.sessions),
    "endurance": lambda told: endurance.run(told.requests),
    "workers": lambda told: workers.run(told.rounds, told.seconds, told.connections),
}


def main() -> None:
    options = _parser().parse_args()
    text, data = _run(options, _chosen(options.only, _USUAL.get(options.scenario, ALL)))
    print(text)
    if options.json:
        options.json.write_text(json.dumps(data, indent=2) + "\n")


def _run(options: argparse.Namespace, systems: list[System]) -> tuple[str, dict[str, Any]]:
    match options.scenario:
        case "latency" | "throughput" | "tls":
            return _IN_ROUNDS[options.scenario](systems, options.rounds, options.seconds)
        case "idle":
            return idle.run(systems, options.clients)
        case "start":
            return start.run(systems, options.rounds)
        case "growth" | "endurance" | "workers":
            return _OF_THE_GATEWAY[options.scenario](options)
        case _:
            return compare.run(
                systems, options.rounds, options.seconds, options.connections, options.pages
            )


def _parser() -> argparse.ArgumentParser:
    told = "\n".join(f"  {name:11}{_first_line(each)}" for name, each in _SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"scenarios:\n{told}\n\nsystems: {', '.join(system.name for system in NAMED)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", choices=_SCENARIOS, default="compare")
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved; medians are told")
    parser.add_argument(
        "--connections", type=int, default=64, help="of compare; of workers: for each of them"
    )
    parser.add_argument(
        "--pages", type=int, default=8, help="of compare: header sets that take turns"
    )
    parser.add_argument("--clients", type=int, default=1000, help="of idle")
    parser.add_argument(
        "--sessions", type=int, default=growth.MANY, help="of growth: how many are many"
    )
    parser.add_argument(
        "--requests", type=int, default=endurance.REQUESTS, help="of endurance: how many in all"
    )
    parser.add_argument("--only", default="", help="systems by name, separated by commas")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser


def _first_line(scenario: ModuleType) -> str:
    return (scenario.__doc__ or "").partition("\n")[0]


def _chosen(only: str, usual: Sequence[System]) -> list[System]:
    names = [name for name in only.split(",") if name]
    known = {system.name: system for system in NAMED}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else list(usual)


if __name__ == "__main__":
    main()
