"""`python -m tests.autobahn [case …]`: every case of the suite, compression and limits included."""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.autobahn.comparison import Pair, compared, different
from tests.autobahn.suite import Suite, installed

# Each group is told of when it is done: the compressed messages take most of an hour.
GROUPS = (
    ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    ("9.*",),
    *((f"12.{number}.*",) for number in range(1, 6)),
    *((f"13.{number}.*",) for number in range(1, 8)),
)


def main() -> int:
    suite = installed()
    groups = (tuple(sys.argv[1:]),) if sys.argv[1:] else GROUPS
    held = [holds(suite, group) for group in groups]
    return int(not all(held))


def holds(suite: Suite, cases: tuple[str, ...]) -> bool:
    """Run *cases*, tell what came of them, and return whether nothing differs."""
    with tempfile.TemporaryDirectory(prefix="gateway-autobahn-") as folder:
        verdicts, apart = asyncio.run(_compared(suite, Path(folder), cases))
    print(f"{' '.join(cases)}: {len(verdicts)} cases, {len(apart)} different")
    for number, name in enumerate(("directly", "through the gateway")):
        print(f"  {name}: {_counted(verdicts, number)}")
    for case, pairs in apart.items():
        direct, through = (sorted({str(pair[number]) for pair in pairs}) for number in (0, 1))
        print(f"  {case}: {direct} directly, {through} through the gateway", flush=True)
    sys.stdout.flush()
    return bool(verdicts) and not apart


async def _compared(
    suite: Suite, folder: Path, cases: tuple[str, ...]
) -> tuple[dict[str, Pair], dict[str, list[Pair]]]:
    verdicts = await compared(suite, folder, cases)
    return verdicts, await different(suite, folder, verdicts)


def _counted(verdicts: dict[str, Pair], number: int) -> str:
    counted = Counter(pair[number].behavior for pair in verdicts.values())
    return ", ".join(f"{count} {behavior}" for behavior, count in counted.most_common())


if __name__ == "__main__":
    sys.exit(main())
