"""Where the peers' programs are: first those of `benchmarks/setup`, then the machine's own."""

import shutil
from pathlib import Path

PEERS = Path(__file__).resolve().parent / ".peers"


class NotInstalled(Exception):
    """A program that is not on this machine."""


def find(name: str) -> Path:
    places = [PEERS / "bin", Path.home() / "go" / "bin", Path("/usr/sbin"), Path("/usr/local/sbin")]
    for place in places:
        if (place / name).is_file():
            return place / name
    if found := shutil.which(name):
        return Path(found)
    raise NotInstalled(name)
