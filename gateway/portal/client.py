"""Who sent a request, as the data plane tells us; only the data plane can reach the portal."""

from aiohttp import web

from gateway.headers.cookies import NOTHING_FOUND, Found
from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import SessionHash
from gateway.portal.portal import PORTAL
from gateway.sessions.session import Device, session_hash


def address_of(request: web.Request) -> str:
    """The person's machine: the first address, since trusted proxies append theirs."""
    return request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()


def device_of(request: web.Request) -> Device:
    return Device(request.headers.get("User-Agent", ""), address_of(request))


def cookies_of(request: web.Request) -> Found:
    lines = request.headers.getall("Cookie", [])
    return request.app[PORTAL].cookies.find("; ".join(lines)) if lines else NOTHING_FOUND


def bearer_of(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer`, RFC 6750 §2.1."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def record(
    request: web.Request,
    kind: AuditKind,
    outcome: str | None = None,
    *,
    user: str | None = None,
    session_id: str | None = None,
    count: int | None = None,
    detail: str | None = None,
) -> None:
    """Tell the audit log what happened, and who did it."""
    device = device_of(request)
    request.app[PORTAL].observe(
        AuditEvent(
            kind=kind,
            outcome=outcome,
            user=user,
            session=SessionHash(session_hash(session_id)) if session_id else None,
            client=device.address,
            count=count,
            detail=detail,
            request_id=request.headers.get("X-Request-Id"),
            user_agent=device.user_agent,
        )
    )
