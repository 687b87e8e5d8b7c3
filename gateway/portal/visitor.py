"""Who is asking: the person that an access token, or a renewal on the way, proves.

A token whose session has ended counts as expired. What the renewal gives or takes away rides on the
answer, whatever that answer is.
"""

from dataclasses import dataclass, replace

from aiohttp import web

from gateway.credentials import Ended, Issued
from gateway.decision import Reason
from gateway.identity.principal import Principal
from gateway.portal.answers import EXPIRED, Refusal, wants_page
from gateway.portal.client import bearer_of, cookies_of, device_of
from gateway.portal.portal import PORTAL
from gateway.tokens.access import AccessToken, BadToken, ExpiredToken


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with a living session. Times are unix seconds."""

    principal: Principal
    session_id: str
    expires_at: float
    set_cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Nobody:
    """No proof of anybody. *set_cookies* clear what is definitely over."""

    set_cookies: tuple[str, ...] = ()


Visitor = SignedIn | Nobody


async def visitor_of(request: web.Request) -> Visitor:
    """Find out who asks, renewing where that may be. Raises StoreUnavailable."""
    portal = request.app[PORTAL]
    access = believed(request)
    if access is not None:
        return SignedIn(access.principal, access.session_id, access.expires_at)
    refresh = cookies_of(request).refresh
    if refresh is None or not (portal.renews or wants_page(request)):
        return Nobody()
    match await portal.credentials.renew(refresh, device_of(request)):
        case Issued() as issued:
            return SignedIn(
                issued.principal, issued.session_id, issued.expires_at, issued.set_cookies
            )
        case Ended(clear, _):
            return Nobody(portal.cookies.clear() if clear else ())


async def signed_in(request: web.Request) -> SignedIn:
    """Return who asks. Raises Refusal where that is nobody, and StoreUnavailable."""
    match await visitor_of(request):
        case SignedIn() as visitor:
            return visitor
        case Nobody(set_cookies):
            refusal = Refusal(401, "You are not signed in.", set_cookies=set_cookies)
            if _shows_expired(request):
                refusal = replace(refusal, headers=(EXPIRED,), code=Reason.EXPIRED)
            raise refusal


def believed(request: web.Request) -> AccessToken | None:
    """Return the access token that came, if it holds and its session has not ended."""
    portal = request.app[PORTAL]
    now = portal.now()
    for token in (cookies_of(request).access, bearer_of(request)):
        if token is None:
            continue
        try:
            access = portal.verifier.verify(token, now)
        except BadToken:
            continue
        if not portal.deny.denies(
            access.session_id, access.principal.subject, access.issued_at, now
        ):
            return access
    return None


def _shows_expired(request: web.Request) -> bool:
    access = shown_access(request)
    return access is not None and access.expires_at <= request.app[PORTAL].now()


def shown_access(request: web.Request) -> AccessToken | None:
    """Return what the access token says, expired or not: whoever signs out may come late."""
    portal = request.app[PORTAL]
    for token in (cookies_of(request).access, bearer_of(request)):
        if token is None:
            continue
        try:
            return portal.verifier.verify(token, portal.now())
        except ExpiredToken as expired:
            return expired.token
        except BadToken:
            continue
    return None
