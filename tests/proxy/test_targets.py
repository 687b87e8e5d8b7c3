"""Targets are remembered within bounds, whatever is asked for (SECURITY R5)."""

import pytest

from gateway.proxy import targets
from gateway.proxy.targets import parse_known_target
from gateway.request import BadRequest, parse_target

# Two slashes, escapes of escapes and parameters: every reading of them may be another.
MANY_READINGS = b"/%2525//b;c%253fd%2fe" + b"x" * 300


@pytest.fixture(autouse=True)
def known():
    """Return what is remembered: nothing at first, and nothing for the next test."""
    targets._known.clear()
    yield targets._known
    targets._known.clear()


def test_a_target_is_read_once(known):
    first = parse_known_target(b"/items?page=1")

    assert first == parse_target("/items?page=1")
    assert parse_known_target(b"/items?page=1") is first
    assert known.held() == 1


def test_targets_that_never_come_again_take_bounded_room(known):
    for number in range(10_000):
        parse_known_target(b"/%d" % number)

    assert known.held() <= 2 * 1024


@pytest.mark.parametrize("raw", [b"/" + b"x" * 1024, MANY_READINGS])
def test_a_target_that_is_long_or_has_many_readings_is_not_remembered(known, raw):
    assert parse_known_target(raw) == parse_target(raw.decode())
    assert known.held() == 0


def test_one_other_reading_is_remembered(known):
    assert parse_known_target(b"/a;b/c").readings
    assert known.held() == 1


def test_a_target_that_is_refused_is_refused_again(known):
    for _ in range(2):
        with pytest.raises(BadRequest):
            parse_known_target(b"/a/../b")
    assert known.held() == 0
