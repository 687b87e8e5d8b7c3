"""What a renewal on the way of a request is: credentials, as the data plane asks for them."""

from math import inf

from gateway.credentials import Credentials, Ended, Issued
from gateway.headers.cookies import OurCookies
from gateway.proxy.plane import RenewalUnavailable, Renewed, Renewing
from gateway.request import Request
from gateway.sessions.session import Device
from gateway.sessions.store import StoreUnavailable


def renewing(credentials: Credentials, cookies: OurCookies, delivery: float) -> Renewing:
    """Return the renewal; an answer may carry its cookies for *delivery* seconds, 0 is no limit."""
    deliver_within = delivery or inf

    async def renew(refresh_token: str, request: Request) -> Renewed:
        device = Device(request.headers.get("user-agent", ""), request.client)
        try:
            outcome = await credentials.renew(refresh_token, device)
        except StoreUnavailable as error:
            raise RenewalUnavailable from error
        match outcome:
            case Issued():
                return Renewed(outcome.access_token, outcome.set_cookies, "ok", deliver_within)
            case Ended(clear, reason):
                return Renewed(None, cookies.clear() if clear else (), reason, deliver_within)

    return renew
