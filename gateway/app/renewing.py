"""What a renewal on the way of a request is: credentials, as the data plane asks for them."""

from collections.abc import Callable
from math import inf
from typing import Protocol

from gateway.credentials import Ended, Issued
from gateway.headers.cookies import OurCookies
from gateway.proxy.plane import RenewalUnavailable, Renewed, Renewing
from gateway.request import Request
from gateway.sessions.session import Device
from gateway.sessions.store import StoreUnavailable


class Renews(Protocol):
    """Credentials, as far as a renewal needs them."""

    async def renew(self, refresh_token: str, device: Device) -> Issued | Ended:
        """Give new credentials for a refresh token. Raises StoreUnavailable."""


def renewing(
    credentials: Renews, cookies: OurCookies, delivery: float, monotonic: Callable[[], float]
) -> Renewing:
    """Return the renewal; an answer may carry its cookies for *delivery* seconds, 0 is no limit.

    They are counted from before the store was asked, since it decides somewhere in between.
    """

    async def renew(refresh_token: str, request: Request) -> Renewed:
        device = Device(request.headers.get("user-agent", ""), request.client)
        asked = monotonic()
        try:
            outcome = await credentials.renew(refresh_token, device)
        except StoreUnavailable as error:
            raise RenewalUnavailable from error
        deliver_within = delivery - (monotonic() - asked) if delivery else inf
        match outcome:
            case Issued():
                return Renewed(outcome.access_token, outcome.set_cookies, "ok", deliver_within)
            case Ended(clear, reason):
                return Renewed(None, cookies.clear() if clear else (), reason, deliver_within)

    return renew
