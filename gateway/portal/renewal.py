"""The explicit refresh, and what a front end may know of its session."""

from aiohttp import web

from gateway.credentials import UNFIT, Ended, Issued
from gateway.observability.audit import AuditKind
from gateway.portal.answers import UNFIT_ACCOUNT, Refusal, json_answer, user_object
from gateway.portal.client import cookies_of, device_of, record
from gateway.portal.portal import PORTAL
from gateway.portal.visitor import signed_in
from gateway.sessions.store import StoreUnavailable


async def refresh_token(request: web.Request) -> web.Response:
    """POST /refresh-token: only a session that is definitely over costs cookies (SECURITY C4)."""
    portal = request.app[PORTAL]
    shown = cookies_of(request).refresh
    if shown is None:
        raise Refusal(401, "No refresh token came along. Please sign in.")
    try:
        outcome = await portal.credentials.renew(shown, device_of(request))
    except StoreUnavailable:
        record(request, AuditKind.REFRESH_UNAVAILABLE, "store")
        raise
    match outcome:
        case Ended(clear, reason):
            record(request, AuditKind.REFRESH_REFUSED, reason)
            cleared = portal.cookies.clear() if clear else ()
            if reason == UNFIT:
                raise Refusal(403, UNFIT_ACCOUNT, set_cookies=cleared)
            detail = "The session is over. Please sign in."
            raise Refusal(401, detail, set_cookies=cleared, code="session-over")
        case Issued() as issued:
            return json_answer(
                {"message": "token refreshed", "expires_in": issued.access_lifetime},
                set_cookies=issued.set_cookies,
            )


async def session(request: web.Request) -> web.Response:
    """GET /session."""
    visitor = await signed_in(request)
    return json_answer(
        {
            "user": user_object(visitor.principal),
            "expires_at": int(visitor.expires_at),
            "session_expires_at": await _session_end(
                request, visitor.session_id, visitor.principal.subject
            ),
        },
        set_cookies=visitor.set_cookies,
    )


async def _session_end(request: web.Request, session_id: str, subject: str) -> int | None:
    """Return when the session ends unless it is renewed; None while nobody can say."""
    try:
        living = await request.app[PORTAL].lifecycle.list(subject)
    except StoreUnavailable:
        return None
    return next((each.over_at // 1000 for each in living if each.id == session_id), None)
