"""`python -m benchmarks`: the gateway and its peers, measured side by side on this machine."""

import argparse
import json
from pathlib import Path

from benchmarks import compare
from benchmarks.systems.catalogue import ALL
from benchmarks.systems.system import System


def main() -> None:
    options = _parser().parse_args()
    systems = _chosen(options.only)
    text, data = compare.run(systems, options.rounds, options.seconds, options.connections)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(data, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument(
        "--rounds", type=int, default=3, help="interleaved rounds; medians are told"
    )
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default="", help="systems by name, separated by commas")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser


def _chosen(only: str) -> list[System]:
    names = [name for name in only.split(",") if name]
    known = {system.name: system for system in ALL}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else list(ALL)


if __name__ == "__main__":
    main()
