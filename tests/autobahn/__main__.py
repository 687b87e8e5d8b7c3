"""`python -m tests.autobahn [case …]`: every case of the suite, compression and limits included."""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.autobahn.comparison import compared
from tests.autobahn.suite import installed


def main() -> int:
    cases = sys.argv[1:] or ["*"]
    with tempfile.TemporaryDirectory(prefix="gateway-autobahn-") as folder:
        verdicts = asyncio.run(compared(installed(), Path(folder), cases))
    for number, name in enumerate(("directly", "through the gateway")):
        counted = Counter(pair[number].behavior for pair in verdicts.values())
        told = ", ".join(f"{count} {behavior}" for behavior, count in counted.most_common())
        print(f"{name}: {told}")
    different = {case: pair for case, pair in verdicts.items() if pair[0] != pair[1]}
    for case, (direct, through) in different.items():
        print(f"{case}: {direct} directly, {through} through the gateway")
    print(f"{len(verdicts)} cases, {len(different)} different")
    return int(bool(different) or not verdicts)


if __name__ == "__main__":
    sys.exit(main())
