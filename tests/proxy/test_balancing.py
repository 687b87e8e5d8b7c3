"""Who is asked next, as a function of what is known of the targets and of the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.balancing import EJECT_AFTER, EJECT_SECONDS, Target, choose
from gateway.proxy.health import Check, Verdict

BALANCES = ["round-robin", "least-connections"]


async def nowhere(_factory) -> object:
    raise ConnectionRefusedError


def targets(count: int) -> list[Target]:
    return [Target(f"t{number}", nowhere) for number in range(count)]


def chosen(among, turn=0, now=0.0, connections=100, **options):
    options = {"balance": "round-robin"} | options
    return choose(among, turn, now, connections=connections, **options)


def ejected(target: Target, now=0.0) -> Target:
    for _ in range(EJECT_AFTER):
        target.failed(now)
    return target


@pytest.mark.parametrize("balance", BALANCES)
@given(count=st.integers(1, 9), rounds=st.integers(1, 9), start=st.integers(0, 99))
def test_equals_get_equally_many_turns(balance, count, rounds, start):
    among = targets(count)
    turns = [chosen(among, start + n, balance=balance).name for n in range(count * rounds)]

    assert {turns.count(target.name) for target in among} == {rounds}


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.integers(0, 99))
def test_least_connections_takes_one_of_the_least_loaded(loads, turn):
    among = targets(len(loads))
    for target, load in zip(among, loads, strict=True):
        target.open = load

    assert chosen(among, turn, balance="least-connections").open == min(loads)


def test_a_tunnel_is_load_but_no_part_of_the_share_of_connections():
    first, second = among = targets(2)
    first.open = first.tunnels = 60
    second.open = 5

    assert chosen(among, balance="least-connections") is second
    assert {chosen(among, turn) for turn in range(2)} == {first, second}


def test_the_failure_that_ejects_is_told_once():
    target = Target("t", nowhere)

    assert [target.failed(0.0) for _ in range(5)] == [False, False, True, False, False]
    assert target.ejections == 1


@pytest.mark.parametrize("balance", BALANCES)
def test_after_its_time_an_ejected_target_is_tried_with_one_request_at_a_time(balance):
    well, sick = among = targets(2)
    ejected(sick)

    def asked(now):
        return [chosen(among, turn, now, balance=balance) for turn in range(6)].count(sick)

    assert asked(EJECT_SECONDS - 0.1) == 0
    assert asked(EJECT_SECONDS) == 1
    assert asked(EJECT_SECONDS + 1) == 0
    sick.failed(EJECT_SECONDS + 2)
    assert asked(2 * EJECT_SECONDS + 1) == 0
    assert asked(2 * EJECT_SECONDS + 2) == 1
    sick.failures = 0
    assert asked(2 * EJECT_SECONDS + 3) == 3
    assert well.failures == 0


def test_with_none_in_service_the_desperate_try_one_and_others_do_not():
    among = [ejected(target) for target in targets(2)]
    among[1].healthy = False

    assert {chosen(among, turn) for turn in range(2)} == set(among)
    assert chosen(among, desperate=False) is None
    assert chosen(among, without=among) is None


@given(st.integers(2, 5), st.integers(10, 50))
def test_a_target_that_hangs_leaves_the_others_their_share(count, connections):
    hanging, *_ = among = targets(count)
    for turn in range(connections):
        target = chosen(among, turn, connections=connections)
        if target is hanging:
            target.open += 1  # never to come back

    assert hanging.open <= connections // count


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_turns_only_by_so_many_answers_in_a_row(answers, down, up):
    verdict = Verdict(Check("/", unhealthy_after=down, healthy_after=up))
    verdicts = [verdict.heard(well=answer) for answer in answers]

    assert verdicts[0] is answers[0]
    for at in range(1, len(verdicts)):
        needed = up if verdicts[at] else down
        against = answers[max(0, at - needed + 1) : at + 1]
        if verdicts[at] is not verdicts[at - 1]:
            assert against == [verdicts[at]] * needed
        elif len(against) == needed:
            turned = up if not verdicts[at] else down
            last = answers[max(0, at - turned + 1) : at + 1]
            assert last != [not verdicts[at]] * turned or len(last) < turned
