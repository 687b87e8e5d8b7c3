from dataclasses import replace

import pytest

from gateway.sessions.rotation import (
    Refusal,
    Refused,
    Renewal,
    Renewed,
    Rules,
    Theft,
    confirm,
    present,
)
from gateway.sessions.session import Device
from tests.sessions.examples import EPOCH, session

RULES = Rules(grace=30, delivery=60, idle=1000, ahead=2)
PHONE = Device("phone", "198.51.100.1")
BASE = session(head=5, parent=4, sent=EPOCH, ends=EPOCH + 5000, idle_ends=EPOCH + 900)
CONFIRMED = replace(BASE, confirmed=EPOCH + 10)


def at(moment):
    return EPOCH + moment


def succeed(before, head, now):
    return replace(
        before,
        head=head,
        parent=head - 1,
        sent=now,
        confirmed=0,
        seen=now,
        idle_ends=min(before.ends, now + RULES.idle),
        device=PHONE,
    )


def test_revoked_comes_before_everything_else():
    for generation in (1, 4, 5, 6, 99):
        outcome = present(BASE.revoke(at(1), "logout"), generation, at(5000), RULES)
        assert outcome == Refused(Refusal.REVOKED)


@pytest.mark.parametrize("generation", [1, 4, 5, 6, 99])
def test_nothing_is_good_after_either_life_has_ended(generation):
    assert present(BASE, generation, at(900), RULES) == Refused(Refusal.EXPIRED)
    absolute = replace(BASE, ends=at(800), idle_ends=at(900))
    assert present(absolute, generation, at(800), RULES) == Refused(Refusal.EXPIRED)


@pytest.mark.parametrize(
    ("before", "generation", "moment", "why"),
    [
        (CONFIRMED, 5, 60, Renewal.ROTATE),
        (replace(BASE, confirmed=at(50)), 5, 80, Renewal.ROTATE),
        (BASE, 5, 90, Renewal.ROTATE),
        (replace(BASE, confirmed=at(89)), 5, 90, Renewal.ROTATE),
    ],
)
def test_a_successor_is_made_where_nothing_on_its_way_can_clash(before, generation, moment, why):
    outcome = present(before, generation, at(moment), RULES, PHONE)

    assert outcome == Renewed(why, succeed(before, generation + 1, at(moment)))
    assert outcome.sends_refresh_token


@pytest.mark.parametrize(
    ("before", "moment"),
    [
        (CONFIRMED, 59),
        (replace(BASE, confirmed=at(50)), 79),
        (replace(BASE, confirmed=at(50)), 61),
        (CONFIRMED, 0),
        (CONFIRMED, -500),
    ],
)
def test_the_head_is_kept_while_something_may_be_on_its_way(before, moment):
    outcome = present(before, 5, at(moment), RULES, PHONE)

    assert outcome == Renewed(Renewal.KEEP, before)
    assert not outcome.sends_refresh_token


def test_keeping_the_head_notes_that_it_was_seen():
    outcome = present(BASE, 5, at(89), RULES)

    assert outcome == Renewed(Renewal.KEEP, replace(BASE, confirmed=at(89)))


@pytest.mark.parametrize("moment", [0, 1, 100, 899])
def test_the_parent_gets_the_same_successor_however_late_until_that_was_seen(moment):
    outcome = present(BASE, 4, at(moment), RULES)

    assert outcome == Renewed(Renewal.REDELIVER, replace(BASE, sent=at(moment)))


@pytest.mark.parametrize("moment", [10, 40])
def test_a_request_with_the_parent_that_was_on_its_way_gets_the_same_successor(moment):
    outcome = present(CONFIRMED, 4, at(moment), RULES)

    assert outcome == Renewed(Renewal.GRACE, replace(CONFIRMED, sent=at(moment)))


def test_the_parent_after_the_grace_of_its_successor_is_theft():
    outcome = present(CONFIRMED, 4, at(41), RULES)

    assert outcome == Theft(CONFIRMED.revoke(at(41), "theft:parent"))


@pytest.mark.parametrize("generation", [1, 3])
@pytest.mark.parametrize("before", [BASE, CONFIRMED])
def test_an_ancestor_is_theft_at_any_time(before, generation):
    outcome = present(before, generation, at(1), RULES)

    assert outcome == Theft(before.revoke(at(1), "theft:ancestor"))


def test_a_generation_too_far_ahead_is_refused_without_ending_the_session():
    assert present(BASE, 8, at(1), RULES) == Refused(Refusal.AHEAD)


@pytest.mark.parametrize("generation", [6, 7])
@pytest.mark.parametrize("before", [BASE, CONFIRMED])
def test_r3_what_a_failover_forgot_is_taken_as_the_head_that_it_was(before, generation):
    outcome = present(before, generation, at(1), RULES, PHONE)

    healed = replace(succeed(before, generation, at(1)), confirmed=at(1))
    assert outcome == Renewed(Renewal.FAST_FORWARD, healed)
    assert not outcome.sends_refresh_token


def test_r3_a_tab_behind_the_one_that_healed_the_session_is_no_thief():
    healed = present(BASE, 6, at(1), RULES)
    assert isinstance(healed, Renewed)

    behind = present(healed.after, 5, at(2), RULES)
    late = present(healed.after, 5, at(32), RULES)

    assert behind == Renewed(Renewal.GRACE, replace(healed.after, sent=at(2)))
    assert isinstance(late, Theft)


def test_idle_life_never_moves_beyond_the_absolute_one():
    outcome = present(replace(BASE, ends=at(500)), 5, at(90), RULES)

    assert isinstance(outcome, Renewed)
    assert outcome.after.idle_ends == at(500)
    assert outcome.after.ends == at(500)


def test_only_a_rotation_moves_the_idle_life_and_the_device():
    for generation, moment in ((4, 20), (5, 20)):
        outcome = present(CONFIRMED, generation, at(moment), RULES, PHONE)
        assert isinstance(outcome, Renewed)
        assert outcome.after.idle_ends == CONFIRMED.idle_ends
        assert outcome.after.device == CONFIRMED.device


def test_a_rotation_without_a_device_keeps_the_one_it_knows():
    outcome = present(CONFIRMED, 5, at(60), RULES)

    assert isinstance(outcome, Renewed)
    assert outcome.after.device == CONFIRMED.device


def test_only_the_first_sight_of_a_living_head_confirms_it():
    assert confirm(BASE, 5, at(3)) == replace(BASE, confirmed=at(3))
    assert confirm(CONFIRMED, 5, at(30)) == CONFIRMED
    assert confirm(BASE, 4, at(3)) == BASE
    assert confirm(BASE, 6, at(3)) == BASE
    assert confirm(BASE, 5, at(900)) == BASE
    dead = BASE.revoke(at(1), "logout")
    assert confirm(dead, 5, at(3)) == dead
