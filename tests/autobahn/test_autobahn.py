"""What Autobahn says of a server it says of that server behind the gateway (W3)."""

from pathlib import Path

import pytest

from tests.autobahn.comparison import compared, different
from tests.autobahn.suite import NoPython27, Verdict, installed

# Limits and compression take minutes: one of each kind here, all of them by `make autobahn`.
CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
SAMPLES = ("9.1.3", "9.2.3", "9.3.3", "9.5.4", "12.1.1", "12.2.5", "12.5.1", "13.3.1", "13.7.1")


async def test_w3_each_case_ends_through_the_gateway_as_it_does_directly(tmp_path: Path):
    try:
        suite = installed()
    except NoPython27 as missing:
        pytest.skip(str(missing))

    verdicts = await compared(suite, tmp_path, (*CASES, *SAMPLES))

    assert await different(suite, tmp_path, verdicts) == {}
    assert len(verdicts) > 250
    good = ("OK", "NON-STRICT", "INFORMATIONAL")
    assert [case for case, (_, through) in verdicts.items() if through.behavior not in good] in (
        ["7.9.5"],  # aiohttp's own: it answers a close code that may not be sent with 1000
        [],
    )


async def test_a_case_is_different_only_if_nothing_is_ever_said_of_both(tmp_path, monkeypatch):
    strict, lax, failed = (Verdict(word, "OK", 1002) for word in ("OK", "NON-STRICT", "FAILED"))
    turns = [
        {"4.2.5": (lax, lax), "7.1.1": (strict, failed)},
        {"7.1.1": (strict, failed)},
        {"7.1.1": (lax, failed)},
        *[{"7.1.1": (strict, failed)}] * 2,
    ]
    asked = []

    async def run(_suite, _folder, cases):
        asked.append(cases)
        return turns[len(asked) - 1]

    monkeypatch.setattr("tests.autobahn.comparison.compared", run)
    first = {"1.1.1": (strict, strict), "4.2.5": (lax, strict), "7.1.1": (strict, failed)}

    told = await different(None, tmp_path, first)

    assert list(told) == ["7.1.1"]
    assert asked == [["4.2.5", "7.1.1"], *[["7.1.1"]] * 4]
