import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.throttle import (
    _KNOWN_NETWORKS,
    BoundedCounters,
    Limits,
    Throttle,
    TooManyFailures,
    network_of,
)
from tests.fakes import FakeClock

LIMITS = Limits(
    account_and_network="3 per 15 minutes", network="8 per 15 minutes", account="6 per hour"
)
HOME, AWAY = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def counters(clock):
    return BoundedCounters(clock)


@pytest.fixture
def throttle(counters, clock):
    return Throttle(counters, clock, LIMITS)


async def fail(throttle, account="alice", address=HOME, times=1):
    for _ in range(times):
        async with throttle.attempt(account, address):
            await throttle.failed(account, address)


async def succeed(throttle, account="alice", address=HOME):
    async with throttle.attempt(account, address):
        pass
    await throttle.succeeded(account, address)


async def test_an_account_is_closed_to_a_network_after_its_failures(throttle):
    await fail(throttle, times=3)

    with pytest.raises(TooManyFailures) as refused:
        await succeed(throttle)
    assert refused.value.retry_after == 900


async def test_other_accounts_and_other_networks_stay_open(throttle):
    await fail(throttle, times=3)

    await succeed(throttle, account="bob")
    await succeed(throttle, address=AWAY)


async def test_time_opens_it_again(throttle, clock):
    await fail(throttle, times=3)
    clock.advance(899)
    with pytest.raises(TooManyFailures) as refused:
        await succeed(throttle)
    clock.advance(1)

    await succeed(throttle)
    assert refused.value.retry_after == 1


async def test_a_success_forgives_the_failures_before_it(throttle):
    for _ in range(3):
        await fail(throttle, times=2)
        await succeed(throttle)


async def test_successes_are_not_counted(throttle):
    for _ in range(20):
        await succeed(throttle)


async def test_a_network_that_tries_many_accounts_is_closed(throttle):
    for number in range(8):
        await fail(throttle, account=f"user{number}")

    with pytest.raises(TooManyFailures):
        await succeed(throttle, account="another")


async def test_an_account_tried_from_many_networks_is_closed_to_new_ones(throttle):
    for number in range(6):
        await fail(throttle, address=f"203.0.113.{number}")

    with pytest.raises(TooManyFailures) as refused:
        await succeed(throttle)
    assert refused.value.retry_after == 3600


async def test_o12_guesses_from_everywhere_do_not_lock_the_owner_out(throttle):
    await succeed(throttle)
    for number in range(6):
        await fail(throttle, address=f"203.0.113.{number}")

    await succeed(throttle)


async def test_of_a_burst_no_more_fail_than_may(throttle):
    checked = []

    async def guess():
        async with throttle.attempt("alice", HOME):
            checked.append(1)
            await asyncio.sleep(0)
            await throttle.failed("alice", HOME)

    results = await asyncio.gather(*(guess() for _ in range(20)), return_exceptions=True)

    assert len(checked) == 3
    assert sum(isinstance(result, TooManyFailures) for result in results) == 17
    assert not throttle._gates


async def test_of_a_burst_of_right_ones_all_come_through(throttle):
    async def sign_in():
        async with throttle.attempt("alice", HOME):
            await asyncio.sleep(0)

    await asyncio.gather(*(sign_in() for _ in range(20)))

    assert not throttle._gates


async def test_whoever_stops_waiting_holds_up_nobody(throttle):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold():
        async with throttle.attempt("alice", HOME):
            entered.set()
            await leave.wait()

    await fail(throttle, times=2)
    holder = asyncio.create_task(hold())
    await entered.wait()
    impatient = [asyncio.create_task(succeed(throttle)) for _ in range(3)]
    patient = asyncio.create_task(succeed(throttle))
    await asyncio.sleep(0)
    for task in impatient:
        task.cancel()
    leave.set()

    await asyncio.gather(holder, patient)
    assert (await asyncio.gather(*impatient, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )
    assert not throttle._gates


async def test_registrations_are_counted_per_network(counters, clock):
    throttle = Throttle(counters, clock, Limits(registrations="2 per hour"))
    for _ in range(2):
        await throttle.registering(HOME)

    with pytest.raises(TooManyFailures):
        await throttle.registering(HOME)
    await throttle.registering(AWAY)


async def test_r5_memory_is_bounded_whatever_is_tried(clock):
    counters = BoundedCounters(clock, capacity=50)
    throttle = Throttle(counters, clock)

    for number in range(200):
        await throttle.failed("x" * 10_000 + str(number), f"10.0.0.{number}")

    assert len(counters) == 50
    assert max(len(key) for key in counters._counters) < 150


async def test_r5_the_oldest_counters_are_forgotten_first_and_a_new_window_is_new(clock):
    counters = BoundedCounters(clock, capacity=2)
    await counters.incr("first", 10)
    await counters.incr("second", 100)
    clock.advance(10)
    await counters.incr("first", 100)

    await counters.incr("third", 100)

    assert await counters.get("second") == 0
    assert await counters.get("first") == await counters.get("third") == 1


async def test_r5_failures_that_count_no_more_are_forgotten(clock):
    counters = BoundedCounters(clock)
    throttle = Throttle(counters, clock)
    for number in range(100):
        await throttle.failed(f"once {number}", f"10.0.0.{number}")
    clock.advance(3600)

    for number in range(100):
        await throttle.failed(f"now {number}", f"10.0.1.{number}")

    assert len(counters) == 3 * 100


async def test_r5_networks_of_owners_are_remembered_in_bounds_the_oldest_forgotten_first(throttle):
    await succeed(throttle)
    await succeed(throttle, address=AWAY)
    # So that there are two older ones, of which one is in use.
    await succeed(throttle)

    for number in range(_KNOWN_NETWORKS - 1):
        await succeed(throttle, account=f"user{number}")

    assert len(throttle._known) == _KNOWN_NETWORKS
    for number in range(6):
        await fail(throttle, address=f"203.0.113.{number}")
    await succeed(throttle)
    with pytest.raises(TooManyFailures):
        await succeed(throttle, address=AWAY)


async def test_r5_nothing_is_held_of_attempts_that_are_over_however_they_ended(throttle):
    await succeed(throttle)
    await fail(throttle, account="bob", times=3)
    with pytest.raises(TooManyFailures):
        await succeed(throttle, account="bob")
    with pytest.raises(OSError, match="unreachable"):
        async with throttle.attempt("carol", HOME):
            raise OSError("the directory is unreachable")

    assert not throttle._gates


async def test_names_that_are_no_text_are_counted_too(throttle):
    await fail(throttle, account="\ud800")


async def test_the_counters_keep_the_contract_of_the_library(clock):
    counters = BoundedCounters(clock)
    assert await counters.check()
    assert await counters.incr("a", 10, 2) == 2
    assert await counters.incr("a", 10) == 3
    assert await counters.get("a") == 3
    assert await counters.get_expiry("a") == clock() + 10
    clock.advance(10)
    assert await counters.get("a") == 0
    assert await counters.incr("a", 10) == 1
    await counters.clear("a")
    assert await counters.get("a") == 0
    await counters.incr("b", 10)
    assert await counters.reset() == 1
    assert len(counters) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_network_is_what_one_customer_holds(address, network):
    assert network_of(address) == network


@given(st.text(max_size=60))
def test_no_address_upsets_it(address):
    assert isinstance(network_of(address), str)
