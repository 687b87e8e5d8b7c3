"""The far end of the detour: renews, and sends the very same request back to where it was going.

307 both ways keeps method and body. Nobody goes round twice in vain: who comes again at once
without our cookies, or again and again with them, is told the cause (SECURITY O4).
"""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from gateway.credentials import Ended, Issued
from gateway.observability.audit import AuditKind
from gateway.policy.navigation import is_navigation
from gateway.policy.return_to import safe_return
from gateway.portal.answers import (
    Refusal,
    own,
    see_other,
    wants_page,
    with_cookies,
    with_refusal_headers,
)
from gateway.portal.client import cookies_of, device_of, record
from gateway.portal.diagnosis import Loop, likely_causes
from gateway.portal.pages import Link, page
from gateway.portal.portal import PORTAL
from gateway.sessions.store import StoreUnavailable

_COOKIE: Final = "gatewayDetours"
_SECONDS: Final = 10
_TOO_OFTEN: Final = 6


async def renew_and_return(request: web.Request) -> web.Response:
    """/refresh?rd=…, by any method; the body is the app's business and is not read."""
    target = _target(request)
    loop = _loop(request)
    if loop is not None:
        return _diagnosis(request, loop, target)
    match await _renew(request):
        case Issued() as issued:
            set_cookies = (*issued.set_cookies, _mark(request, issued))
            return with_cookies(web.Response(status=307, headers={"Location": target}), set_cookies)
        case Ended(clear, reason):
            record(request, AuditKind.REFRESH_REFUSED, reason)
            cookies = request.app[PORTAL].cookies
            return _over(request, target, cookies.clear() if clear else ())
        case None:
            return _over(request, target, request.app[PORTAL].cookies.clear_session())


async def _renew(request: web.Request) -> Issued | Ended | None:
    """Renew by the refresh token that came along, if one did. Raises StoreUnavailable."""
    shown = cookies_of(request).refresh
    if shown is None:
        return None
    try:
        return await request.app[PORTAL].credentials.renew(shown, device_of(request))
    except StoreUnavailable:
        record(request, AuditKind.REFRESH_UNAVAILABLE, "store")
        raise


def _target(request: web.Request) -> str:
    """Return where to go back to. Raises Refusal: a body never goes where it was not sent (O5)."""
    said = request.query.get("rd")
    target = safe_return(said, request.app[PORTAL].public_url)
    if target == "/" and said != "/" and not _is_navigation(request):
        raise Refusal(400, "rd must be a path of this site.")
    return target


def _over(request: web.Request, target: str, set_cookies: tuple[str, ...]) -> web.Response:
    """Answer where there is no session any more: a person signs in, a program is told."""
    if _is_navigation(request):
        query = urlencode({"rd": target, "notice": "session-over"})
        return see_other(f"{own(request, '/login')}?{query}", set_cookies=set_cookies)
    detail = "The session is over. Nothing of this request has reached the application."
    raise Refusal(401, f"{detail} Please sign in and send it again.", set_cookies=set_cookies)


def _is_navigation(request: web.Request) -> bool:
    return is_navigation(request.method, request.headers)


# Going round.


def _loop(request: web.Request) -> Loop | None:
    arrivals = _arrivals(request)
    if arrivals and cookies_of(request).access is None:
        return Loop.COOKIE_LOST
    return Loop.NOT_ACCEPTED if arrivals >= _TOO_OFTEN else None


def _arrivals(request: web.Request) -> int:
    value = request.cookies.get(_COOKIE, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 3 else 0  # noqa: PLR2004


def _mark(request: web.Request, issued: Issued) -> str:
    """Return the Set-Cookie value of a mark that goes before the access cookie set beside it does.

    So whoever shows the mark alone did not get the other back. Only a person's arrivals are
    counted: a page may rightly send a hundred requests at the same moment.
    """
    count = max(1, _arrivals(request) + _is_navigation(request))
    age = max(1, min(_SECONDS, issued.access_cookie_lifetime - 1))
    path = request.app[PORTAL].prefix
    # Not Secure: it is to come back even where our own cookies, being Secure, do not.
    return f"{_COOKIE}={count}; Max-Age={age}; Path={path}; HttpOnly; SameSite=Lax"


def _diagnosis(request: web.Request, loop: Loop, target: str) -> web.Response:
    refusal = Refusal(401, loop.value)
    record(request, AuditKind.REFRESH_REFUSED, "loop", detail=loop.name.lower())
    if not wants_page(request):
        raise refusal
    again = target if request.method in ("GET", "HEAD") else "/"
    answer = page(
        request,
        "diagnosis.html",
        status=refusal.status,
        detail=refusal.detail,
        causes=likely_causes(request, loop),
        links=(Link("Try again", again), Link("Go to sign-in", own(request, "/login"))),
        request_id=request.headers.get("X-Request-Id", ""),
    )
    return with_refusal_headers(answer, refusal)
