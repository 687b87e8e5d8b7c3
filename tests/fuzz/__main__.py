"""`python -m tests.fuzz`: feed every surface with what nobody would send, for as long as you like.

Findings stay in the corpus, where the tests run them again until they are repaired.
"""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.command import grow, guided_is_there, minimise, unguided
from tests.fuzz.targets import HERE, TARGETS

GROWN = HERE / ".grown"


def main() -> int:
    options = _parser().parse_args()
    if options.replay is not None:
        return replay(options.replay)
    names = options.target or list(TARGETS)
    if options.minimise:
        for name in names:
            before, after = minimise(TARGETS[name], GROWN / name)
            print(f"{name}: {before} files became {after}")
        return 0
    fuzz = grow if guided_is_there() and not options.unguided else unguided
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="gateway-fuzz-") as scratch:
            grown = Path(scratch) if options.forget else GROWN / name
            found = options.findings or TARGETS[name].corpus
            run = fuzz(TARGETS[name], options.seconds, options.seed, grown, found)
        print(run.line(), flush=True)
        if run.failed:
            print(run.told, flush=True)
            failed.append(name)
    if failed:
        print(f"Findings in {', '.join(failed)}. Repair them; the files stay as regression cases.")
    return int(bool(failed))


def replay(place: Path) -> int:
    """Run one file, or all of a folder, and show where it breaks."""
    target = TARGETS[place.name if place.is_dir() else place.parent.name]
    failed = False
    for path in sorted(place.iterdir()) if place.is_dir() else [place]:
        try:
            target.run(path.read_bytes())
        except Exception:  # noqa: BLE001 - whatever it is, it is what was asked for
            failed = True
            print(f"{path}:\n{traceback.format_exc()}")
        else:
            print(f"{path}: holds")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument(
        "--target", action="append", choices=list(TARGETS), help="one surface; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument(
        "--findings", type=Path, help="where findings are kept (default: the target's corpus)"
    )
    parser.add_argument(
        "--forget", action="store_true", help="keep no inputs that reached new code"
    )
    parser.add_argument(
        "--unguided", action="store_true", help="mutate blindly, as without atheris"
    )
    parser.add_argument(
        "--minimise", action="store_true", help="take into the corpus what adds to its coverage"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="run a file or folder of a corpus again"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
