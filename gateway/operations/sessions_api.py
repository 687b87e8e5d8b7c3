"""Sessions for operators: who is signed in where, and an end to it."""

from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import SessionHash
from gateway.operations.answers import json_answer, problem
from gateway.operations.operations import OPERATIONS
from gateway.sessions.session import Session, session_hash

BY_OPERATOR = "operator"


async def list_sessions(request: web.Request) -> web.Response:
    """GET /sessions?user=…"""
    subject = _subject(request)
    if subject is None:
        return _no_user()
    sessions = await request.app[OPERATIONS].sessions().list(subject)
    return json_answer({"user": subject, "sessions": [_shown(session) for session in sessions]})


async def end_session(request: web.Request) -> web.Response:
    """DELETE /sessions/{id}; the id is that of the list, not the hash of the logs."""
    session_id = request.match_info["id"]
    if not await request.app[OPERATIONS].sessions().end(session_id, BY_OPERATOR):
        return problem(HTTPStatus.NOT_FOUND, "No such session is alive.", "no-session")
    _audit(request, count=1, session_id=session_id)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def end_sessions(request: web.Request) -> web.Response:
    """DELETE /sessions?user=…"""
    subject = _subject(request)
    if subject is None:
        return _no_user()
    ended = await request.app[OPERATIONS].sessions().end_all(subject, BY_OPERATOR)
    _audit(request, count=ended, user=subject)
    return json_answer({"user": subject, "ended": ended})


def _subject(request: web.Request) -> str | None:
    """The one user asked about. Two are none: whoever acts on either would be wrong."""
    users = request.query.getall("user", [])
    return request.app[OPERATIONS].subject(users[0]) if len(users) == 1 and users[0] else None


def _no_user() -> web.Response:
    return problem(HTTPStatus.BAD_REQUEST, "Name one user: ?user=…")


def _shown(session: Session) -> dict[str, object]:
    return {
        "id": session.id,
        "logged_as": session_hash(session.id),
        "provider": session.principal.provider,
        "created": _time(session.created),
        "last_seen": _time(session.seen),
        "expires": _time(session.over_at),
        "user_agent": session.device.user_agent,
        "address": session.device.address,
    }


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _audit(
    request: web.Request, *, count: int, user: str | None = None, session_id: str | None = None
) -> None:
    event = AuditEvent(
        AuditKind.SESSION_ENDED,
        BY_OPERATOR,
        user=user,
        session=SessionHash(session_hash(session_id)) if session_id else None,
        client=request.remote,
        count=count,
        user_agent=request.headers.get("User-Agent"),
    )
    request.app[OPERATIONS].observe(event)
