"""What is remembered is bounded, and what is in use stays."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recent import Recent


def test_what_was_kept_is_found_and_what_was_not_is_not():
    recent: Recent[str, int] = Recent(4)
    recent.keep("a", 1)

    assert recent["a"] == 1
    with pytest.raises(KeyError):
        recent["b"]


def test_a_flood_drops_what_is_not_in_use_and_keeps_what_is():
    recent: Recent[str, int] = Recent(4)
    recent.keep("idle", 0)
    recent.keep("busy", 1)

    for number in range(100):
        recent.keep(f"flood {number}", number)
        assert recent["busy"] == 1

    with pytest.raises(KeyError):
        recent["idle"]


def test_everything_can_be_forgotten():
    recent: Recent[int, int] = Recent(2)
    for number in range(5):
        recent.keep(number, number)

    recent.clear()

    assert recent.held() == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=200), st.integers(1, 6))
def test_it_never_holds_more_than_twice_its_bound_nor_a_wrong_answer(steps, bound):
    recent: Recent[int, int] = Recent(bound)

    for keeps, key in steps:
        if keeps:
            recent.keep(key, key * 2)
        else:
            with suppress(KeyError):
                assert recent[key] == key * 2
        assert recent.held() <= 2 * bound


def test_large_keys_leave_room_for_fewer():
    recent: Recent[str, int] = Recent(100, room=10, weigh=len)

    for number in range(50):
        recent.keep(f"{number:05}", number)

    assert recent.held() == 4
    assert recent["00049"] == 49


def test_what_is_forgotten_or_overflows_weighs_no_more():
    recent: Recent[str, int] = Recent(2, room=10, weigh=len)
    recent.keep("x" * 9, 0)
    recent.clear()
    for number in range(4):
        recent.keep(f"{number:04}", number)

    assert recent.held() == 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=200))
def test_keys_never_weigh_more_than_twice_the_room(steps):
    recent: Recent[str, int] = Recent(1000, room=20, weigh=len)

    for keeps, length in steps:
        key = "x" * length
        if keeps:
            recent.keep(key, length)
        else:
            with suppress(KeyError):
                assert recent[key] == length
        assert sum(map(len, recent)) <= 20
        assert sum(map(len, recent._older)) <= 20
