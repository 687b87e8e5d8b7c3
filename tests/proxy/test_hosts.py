"""Hosts are remembered within bounds, whatever is asked for (SECURITY R5)."""

import pytest

from gateway.proxy import incoming
from gateway.request import Authority, BadRequest


@pytest.fixture(autouse=True)
def known():
    """Return what is remembered: nothing at first, and nothing for the next test."""
    incoming._known_authority.cache_clear()
    yield incoming._known_authority.cache_info
    incoming._known_authority.cache_clear()


def test_a_host_is_read_once(known):
    first = incoming._authority(b"app.example:8080", "1.1")

    assert first == Authority("app.example", 8080)
    assert incoming._authority(b"app.example:8080", "1.1") is first
    assert known().currsize == 1


def test_hosts_that_never_come_again_take_bounded_room(known):
    for number in range(2000):
        incoming._authority(b"made-up-%d.example" % number, "1.1")

    assert known().currsize == 512


def test_a_host_that_is_long_is_not_remembered(known):
    assert incoming._authority(b"app.example" + b" " * 30_000, "1.1") == Authority(
        "app.example", None
    )
    assert known().currsize == 0


def test_a_host_that_is_refused_is_refused_again(known):
    for _ in range(2):
        with pytest.raises(BadRequest):
            incoming._authority(b"a b", "1.1")
    assert known().currsize == 0
