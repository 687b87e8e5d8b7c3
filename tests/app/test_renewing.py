"""A renewal tells the data plane for how long its answer may carry the cookies (SESSIONS, L)."""

from math import inf

import pytest

from gateway.app.renewing import renewing
from gateway.credentials import Ended
from gateway.headers.cookies import our_cookies
from gateway.proxy.plane import RenewalUnavailable
from gateway.request import Request, parse_authority, parse_target
from gateway.sessions.store import StoreUnavailable
from tests.fakes import FakeClock

COOKIES = our_cookies(secure=False)
REQUEST = Request("GET", "http", parse_authority("localhost"), parse_target("/"), {})


class SlowCredentials:
    """Takes three seconds to say what it was told to say."""

    def __init__(self, clock: FakeClock, outcome: Ended | Exception) -> None:
        self.clock = clock
        self.outcome = outcome

    async def renew(self, _refresh_token, _device):
        self.clock.advance(3.0)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(("delivery", "left"), [(60.0, 57.0), (2.0, -1.0), (0.0, inf)])
async def test_the_time_that_the_store_took_is_counted(delivery, left):
    clock = FakeClock()
    ended = SlowCredentials(clock, Ended(clear=True, reason="revoked"))

    renewed = await renewing(ended, COOKIES, delivery, clock)("token", REQUEST)

    assert renewed.deliver_within == left
    assert renewed.set_cookies == COOKIES.clear()


async def test_r1_a_store_that_does_not_answer_is_unavailable_and_clears_nothing():
    clock = FakeClock()
    down = SlowCredentials(clock, StoreUnavailable("no answer"))

    with pytest.raises(RenewalUnavailable):
        await renewing(down, COOKIES, 60.0, clock)("token", REQUEST)
