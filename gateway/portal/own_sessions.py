"""A user's own sessions: seen, and ended, by their owner alone.

A session is named by the hash of its id; the id itself never leaves the gateway (SECURITY S11, C6).
"""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.observability.audit import AuditKind
from gateway.portal.answers import (
    Refusal,
    json_answer,
    own,
    see_other,
    wants_page,
    with_cookies,
)
from gateway.portal.client import record
from gateway.portal.device_names import ago, describe, iso
from gateway.portal.pages import Message, page
from gateway.portal.portal import PORTAL
from gateway.portal.visitor import Nobody, SignedIn, signed_in, visitor_of
from gateway.sessions.session import Session, session_hash

_NOTICES: Final = {
    "ended": Message("success", "The session has been ended."),
    "others-ended": Message("success", "You are signed out everywhere else."),
    "gone": Message("info", "That session was over already."),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One session as its owner sees it."""

    id: str
    current: bool
    device: str
    address: str
    created_iso: str
    created_text: str
    last_seen_iso: str
    last_seen_text: str


async def list_sessions(request: web.Request) -> web.Response:
    """GET /sessions: a page for people, JSON for programs."""
    visitor = await visitor_of(request)
    if isinstance(visitor, Nobody):
        return _sign_in_first(request, visitor)
    sessions = await request.app[PORTAL].lifecycle.list(visitor.principal.subject)
    if wants_page(request):
        return _page(request, visitor, sessions)
    listed = [_as_json(session, visitor) for session in sessions]
    return json_answer({"sessions": listed}, set_cookies=visitor.set_cookies)


async def end_session(request: web.Request) -> web.Response:
    """DELETE /sessions/{id}, and its form."""
    visitor = await signed_in(request)
    session = await _find(request, visitor)
    if session is None:
        return _ended(request, visitor, "gone") if wants_page(request) else _unknown(visitor)
    await request.app[PORTAL].lifecycle.end(session.id, "ended by its user")
    record(
        request,
        AuditKind.SESSION_ENDED,
        "user",
        user=visitor.principal.subject,
        session_id=session.id,
        count=1,
    )
    if session.id == visitor.session_id:
        visitor = SignedIn(
            visitor.principal, "", visitor.expires_at, request.app[PORTAL].cookies.clear()
        )
    return _ended(request, visitor, "ended")


async def end_others(request: web.Request) -> web.Response:
    """POST /sessions/others/end: every session but the one that asks."""
    visitor = await signed_in(request)
    lifecycle = request.app[PORTAL].lifecycle
    others = [
        session
        for session in await lifecycle.list(visitor.principal.subject)
        if session.id != visitor.session_id
    ]
    # One by one, not by `end_all`: its notice would make the caller's own access token renew.
    for session in others:
        await lifecycle.end(session.id, "signed out everywhere else")
    record(
        request,
        AuditKind.SESSION_ENDED,
        "user",
        user=visitor.principal.subject,
        count=len(others),
    )
    return _ended(request, visitor, "others-ended")


async def _find(request: web.Request, visitor: SignedIn) -> Session | None:
    public_id = request.match_info["id"]
    for session in await request.app[PORTAL].lifecycle.list(visitor.principal.subject):
        if session_hash(session.id) == public_id:
            return session
    return None


def _unknown(visitor: SignedIn) -> web.Response:
    raise Refusal(404, "You have no such session.", set_cookies=visitor.set_cookies)


def _ended(request: web.Request, visitor: SignedIn, notice: str) -> web.Response:
    if wants_page(request):
        return see_other(
            own(request, f"/sessions?notice={notice}"), set_cookies=visitor.set_cookies
        )
    return json_answer({"message": "session ended"}, set_cookies=visitor.set_cookies)


def _sign_in_first(request: web.Request, visitor: Nobody) -> web.Response:
    if not wants_page(request):
        raise Refusal(401, "You are not signed in.", set_cookies=visitor.set_cookies)
    location = own(request, "/login?rd=") + own(request, "/sessions")
    return see_other(location, set_cookies=visitor.set_cookies)


def _page(request: web.Request, visitor: SignedIn, sessions: list[Session]) -> web.Response:
    now = request.app[PORTAL].now()
    rows = [_row(session, visitor, now) for session in sessions]
    rows.sort(key=lambda row: not row.current)
    answer = page(
        request,
        "sessions.html",
        signed_in=visitor.principal.subject,
        sessions=rows,
        others=len(rows) > 1,
        message=_NOTICES.get(request.query.get("notice", "")),
        back="/",
    )
    return with_cookies(answer, visitor.set_cookies)


def _row(session: Session, visitor: SignedIn, now: float) -> Row:
    created, seen = session.created / 1000, session.seen / 1000
    return Row(
        id=session_hash(session.id),
        current=session.id == visitor.session_id,
        device=describe(session.device.user_agent),
        address=session.device.address,
        created_iso=iso(created),
        created_text=ago(created, now),
        last_seen_iso=iso(seen),
        last_seen_text=ago(seen, now),
    )


def _as_json(session: Session, visitor: SignedIn) -> dict[str, object]:
    return {
        "id": session_hash(session.id),
        "current": session.id == visitor.session_id,
        "device": describe(session.device.user_agent),
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "created_at": session.created // 1000,
        "last_seen_at": session.seen // 1000,
        "expires_at": session.over_at // 1000,
    }
