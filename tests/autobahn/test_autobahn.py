"""What Autobahn says of a server it says of that server behind the gateway (W3)."""

from pathlib import Path

import pytest

from tests.autobahn.comparison import compared
from tests.autobahn.suite import NoPython27, installed

# Limits and compression take minutes: one of each kind here, all of them by `make autobahn`.
CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
SAMPLES = ("9.1.3", "9.2.3", "9.3.3", "9.5.4", "12.1.1", "12.2.5", "12.5.1", "13.3.1", "13.7.1")


async def test_w3_each_case_ends_through_the_gateway_as_it_does_directly(tmp_path: Path):
    try:
        suite = installed()
    except NoPython27 as missing:
        pytest.skip(str(missing))

    verdicts = await compared(suite, tmp_path, (*CASES, *SAMPLES))

    different = {case: pair for case, pair in verdicts.items() if pair[0] != pair[1]}
    assert different == {}
    assert len(verdicts) > 250
    good = ("OK", "NON-STRICT", "INFORMATIONAL")
    assert [case for case, (_, through) in verdicts.items() if through.behavior not in good] in (
        ["7.9.5"],  # aiohttp's own: it answers a close code that may not be sent with 1000
        [],
    )
