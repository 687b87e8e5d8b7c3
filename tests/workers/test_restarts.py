"""A worker that died starts again at once, and ever later while it dies at its start."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.workers.restarts import LIVED_WELL_SECONDS, LONGEST_PAUSE_SECONDS, Deaths


def test_the_first_death_is_an_accident_and_the_next_ones_wait_longer_each():
    deaths, pauses = Deaths(), []
    for _ in range(5):
        deaths = deaths.after(0.1)
        pauses.append(deaths.pause)

    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0]


def test_after_a_good_life_a_death_is_an_accident_again():
    deaths = Deaths().after(0.1).after(0.1).after(0.1)

    assert deaths.after(LIVED_WELL_SECONDS).pause == 0.0


@given(st.lists(st.floats(0, 100), max_size=50))
def test_no_pause_is_endless_and_only_those_who_never_lived_are_hopeless(lives):
    deaths = Deaths()
    for lived in lives:
        deaths = deaths.after(lived)

    assert 0.0 <= deaths.pause <= LONGEST_PAUSE_SECONDS
    at_the_end = lives[-4:]
    assert deaths.hopeless == (
        len(at_the_end) == 4 and all(lived < LIVED_WELL_SECONDS for lived in at_the_end)
    )
