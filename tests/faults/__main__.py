"""`python -m tests.faults`: break everything for as long as you like, see who is signed out."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.backends import BACKENDS
from tests.faults.siege import Siege, Tally


def main() -> int:
    options = _parser().parse_args()
    names = list(BACKENDS) if options.store == "all" else [options.store]
    tallies = [besiege(name, options.seed, options.seconds, options.pairs) for name in names]
    print(table(tallies))
    for tally in tallies:
        for line in (
            *tally.lost,
            *tally.honoured,
            *tally.unnoticed,
            *tally.resurrected,
            *tally.evidence,
        ):
            print(f"{tally.store}: {line}")
    return int(any(failed(tally) for tally in tallies))


def besiege(name: str, seed: int, seconds: float, pairs: int = 8) -> Tally:
    """Run one siege in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="gateway-faults-") as folder:
        place = Path(folder)
        with BACKENDS[name].running(place, random.Random(seed)) as backend:
            return asyncio.run(Siege(backend, place, seed, pairs=pairs).run(seconds))


def failed(tally: Tally) -> bool:
    return bool(tally.lost or tally.honoured or tally.unnoticed or tally.resurrected)


def table(tallies: list[Tally]) -> str:
    """One column for each store."""
    rows = [*_load(tallies), *_faults(tallies), *_reckoning(tallies)]
    width = max(len(name) for name, _ in rows)
    lines = [_line(name.ljust(width), [str(value) for value in values]) for name, values in rows]
    lines.insert(1, f"|{'-' * (width + 2)}|{'|'.join('-' * 11 + ':' for _ in tallies)}|")
    return "\n".join(lines)


Row = tuple[str, list[object]]


def _load(tallies: list[Tally]) -> list[Row]:
    return [
        ("", [t.store for t in tallies]),
        ("seed", [t.seed for t in tallies]),
        ("operations", [t.operations for t in tallies]),
        ("… answered as the user", [t.answered for t in tallies]),
        ("… turned away for now (502 to 504)", [t.turned_away for t in tallies]),
        ("… without an answer", [t.unanswered for t in tallies]),
        ("rotations", [t.rotations for t in tallies]),
    ]


def _faults(tallies: list[Tally]) -> list[Row]:
    injected = sorted({kind for t in tallies for kind in t.faults})
    hit = sorted({kind for t in tallies for kind in t.hit})
    return [
        *((f"injected: {kind}", [t.faults[kind] for t in tallies]) for kind in injected),
        *((f"hit by it: {kind}", [t.hit[kind] for t in tallies]) for kind in hit),
    ]


def _reckoning(tallies: list[Tally]) -> list[Row]:
    return [
        ("sessions under load", [t.sessions for t in tallies]),
        ("**sessions lost**", [len(t.lost) for t in tallies]),
        ("spent tokens replayed", [t.replayed for t in tallies]),
        ("**spent tokens honoured**", [len(t.honoured) for t in tallies]),
        ("thefts in the logs", [t.thefts for t in tallies]),
        ("sign-outs acknowledged", [t.ended for t in tallies]),
        ("**ended sessions alive**", [len(t.resurrected) for t in tallies]),
    ]


def _line(name: str, values: list[str]) -> str:
    return f"| {name} | {' | '.join(value.rjust(10) for value in values)} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of load and faults, per store")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--store", choices=[*BACKENDS, "all"], default="all")
    parser.add_argument("--pairs", type=int, default=8, help="users, each with two browsers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
