"""A short siege of every store; `make faults` makes it as long as you like."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.backends import BACKENDS
from tests.faults.siege import Siege, Tally

SEED = 3
SECONDS = {"redis": 14.0, "postgresql": 7.0, "sqlite": 5.0}


@pytest.fixture(scope="module", params=list(BACKENDS))
def tally(request, tmp_path_factory: pytest.TempPathFactory) -> Tally:
    folder: Path = tmp_path_factory.mktemp("siege")
    with BACKENDS[request.param].running(folder, random.Random(SEED)) as backend:
        siege = Siege(backend, folder, SEED, pairs=4)
        return asyncio.run(siege.run(SECONDS[request.param]))


def test_everything_was_broken_and_yet_used(tally: Tally):
    assert tally.answered > 50
    assert tally.rotations >= tally.sessions
    assert len(tally.faults) >= 2


def test_s5_nobody_honest_was_signed_out(tally: Tally):
    assert tally.lost == []


def test_s6_no_spent_token_was_honoured_and_every_theft_was_found(tally: Tally):
    assert tally.replayed >= 4
    assert tally.honoured == []
    assert tally.unnoticed == []


def test_s7_who_was_signed_out_stays_out(tally: Tally):
    assert tally.resurrected == []
