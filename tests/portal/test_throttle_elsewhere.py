"""Throttles of processes that share a port count what fails at any of them."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from gateway.counts import OwnCounts
from gateway.portal import throttle as throttles
from gateway.portal.throttle import BoundedCounters, Limits, Throttle, TooManyFailures
from tests.fakes import FakeClock
from tests.portal.test_throttle import AWAY, HOME, LIMITS, fail, succeed


class Wired:
    """One of several processes; *boxes* are those of all, and *own* is its own."""

    def __init__(self, boxes: list[list[Sequence[str]]], own: int, under_way: OwnCounts) -> None:
        self.boxes = boxes
        self.own = own
        self.under_way = under_way
        self.told: list[str] = []
        self.looked = 0

    def tell(self, what: str, *about: str) -> None:
        self.told.append(" ".join((what, *about)))
        for number, box in enumerate(self.boxes):
            if number != self.own:
                box.append((what, *about))

    def heard(self) -> Iterator[Sequence[str]]:
        self.looked += 1
        box = self.boxes[self.own]
        while box:
            yield box.pop(0)


class House:
    """Two processes of one gateway."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.under_way = OwnCounts()
        boxes: list[list[Sequence[str]]] = [[], []]
        self.wires = [Wired(boxes, own, self.under_way) for own in range(2)]
        clock = FakeClock()
        self.here, self.there = (
            Throttle(BoundedCounters(clock), clock, limits, wire) for wire in self.wires
        )

    async def hear(self) -> None:
        """Let both hear at once what the event loop would soon tell them."""
        await self.here.hear()
        await self.there.hear()


@pytest.fixture
def house() -> House:
    return House()


async def test_failures_at_both_close_an_account_at_both(house: House):
    await fail(house.here, times=2)
    await fail(house.there)

    for throttle in (house.here, house.there):
        with pytest.raises(TooManyFailures) as refused:
            await succeed(throttle)
        assert refused.value.retry_after == 900
        await succeed(throttle, address=AWAY)


async def test_a_network_that_tries_many_accounts_here_and_there_is_closed_at_both(house: House):
    for number in range(8):
        await fail(house.there if number % 2 else house.here, account=f"user{number}")

    for throttle in (house.here, house.there):
        with pytest.raises(TooManyFailures):
            await succeed(throttle, account="another")


async def test_a_success_at_one_forgives_the_failures_at_both(house: House):
    for _ in range(3):
        await fail(house.here)
        await fail(house.there)
        await succeed(house.here)


async def test_an_owner_who_signed_in_at_one_is_not_locked_out_at_the_other(house: House):
    await succeed(house.here)
    for number in range(6):
        await fail(house.here, address=f"203.0.113.{number}")

    await succeed(house.there)


async def test_registrations_at_both_are_counted_together():
    house = House(Limits(registrations="2 per hour"))
    await house.here.registering(HOME)
    await house.there.registering(HOME)

    for throttle in (house.here, house.there):
        with pytest.raises(TooManyFailures):
            await throttle.registering(HOME)
        await throttle.registering(AWAY)


async def test_of_a_burst_at_both_no_more_fail_than_may(house: House):
    checked = []

    async def guess(throttle: Throttle) -> None:
        async with throttle.attempt("alice", HOME):
            checked.append(1)
            await asyncio.sleep(0)
            await throttle.failed("alice", HOME)

    guessing = asyncio.gather(
        *(guess(throttle) for _ in range(20) for throttle in (house.here, house.there)),
        return_exceptions=True,
    )
    while not guessing.done():
        await house.hear()
        await asyncio.sleep(0)

    assert len(checked) == 3
    assert sum(isinstance(each, TooManyFailures) for each in guessing.result()) == 37
    assert house.under_way.total() == 0


async def test_who_waits_for_an_attempt_elsewhere_goes_on_when_it_is_over(house: House):
    await fail(house.here, times=2)
    async with house.there.attempt("alice", HOME):
        waiting = asyncio.ensure_future(succeed(house.here))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()

    await house.hear()
    await asyncio.wait_for(waiting, 1.0)


async def test_who_waits_for_a_process_that_has_died_is_not_left_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(throttles, "LOOK_AGAIN_SECONDS", 0.01)
    await fail(house.here, times=2)
    async with house.there.attempt("alice", HOME):
        waiting = asyncio.ensure_future(succeed(house.here))
        looked = house.wires[0].looked
        async with asyncio.timeout(5):
            while house.wires[0].looked < looked + 4:
                await asyncio.sleep(0)
        assert not waiting.done()
        # Nobody tells it that this one is over.
        house.wires[1].boxes = []

    await asyncio.wait_for(waiting, 5.0)


async def test_what_is_told_names_no_account(house: House):
    await fail(house.here, account="alice")
    await succeed(house.here, account="alice")

    assert [each.partition(" ")[0] for each in house.wires[0].told] == [
        *("failed", "over"),
        *("over", "succeeded"),
    ]
    assert "alice" not in " ".join(house.wires[0].told)


async def test_what_makes_no_sense_is_passed_over(house: House):
    house.wires[0].boxes[0].extend([("failed",), ("what", "a", "b"), ("",), ("over", "a")])

    await house.here.hear()
    await succeed(house.here)
