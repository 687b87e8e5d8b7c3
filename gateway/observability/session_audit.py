"""What the audit log says of what happened to a session."""

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import SessionHash
from gateway.sessions.events import Kind, SessionEvent

_KINDS = {
    Kind.ROTATE: AuditKind.REFRESHED,
    Kind.KEEP: AuditKind.REFRESHED,
    Kind.REDELIVER: AuditKind.REFRESHED,
    Kind.GRACE: AuditKind.REFRESHED,
    Kind.FAST_FORWARD: AuditKind.REFRESHED,
    Kind.AHEAD: AuditKind.REFRESH_AHEAD,
    Kind.THEFT: AuditKind.THEFT,
    Kind.ENDED: AuditKind.SESSION_ENDED,
}


def audited(event: SessionEvent) -> AuditEvent | None:
    """Return the audit event, None for a session that began: the sign-in tells of that."""
    kind = _KINDS.get(event.kind)
    if kind is None:
        return None
    outcome = event.kind.value if kind is AuditKind.REFRESHED else event.reason
    return AuditEvent(
        kind,
        outcome or None,
        user=event.subject,
        session=SessionHash(event.session),
        client=event.address or None,
        evidence={
            "generations_behind": event.distance,
            "confirmed_ms_ago": event.since_confirmed,
            "same_user_agent": event.same_agent,
            "last_client": event.last_address or None,
        },
    )
