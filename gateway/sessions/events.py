"""What happened to a session, for the audit log and the counters; never holds a session id."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gateway.sessions.session import Device, Session, session_hash


class Kind(Enum):
    STARTED = "started"
    ROTATE = "rotate"
    KEEP = "keep"
    REDELIVER = "redeliver"
    GRACE = "grace"
    FAST_FORWARD = "fast-forward"
    AHEAD = "ahead"
    THEFT = "theft"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One event. For a shown token, also how far behind it was and who had shown the others.

    `distance` is how many generations the token was behind the head (negative: ahead of it),
    `since_confirmed` how many milliseconds ago the head was first seen in use.
    """

    kind: Kind
    session: str
    subject: str
    reason: str = ""
    distance: int | None = None
    since_confirmed: int | None = None
    same_agent: bool | None = None
    address: str = ""
    last_address: str = ""


Observe = Callable[[SessionEvent], None]


def event(kind: Kind, session: Session) -> SessionEvent:
    return SessionEvent(
        kind=kind,
        session=session_hash(session.id),
        subject=session.principal.subject,
        reason=session.why,
        last_address=session.device.address,
    )


def shown(
    kind: Kind, before: Session, after: Session, generation: int, now: int, device: Device | None
) -> SessionEvent:
    """Describe what showing the token of *generation* did."""
    return SessionEvent(
        kind=kind,
        session=session_hash(before.id),
        subject=before.principal.subject,
        reason=after.why,
        distance=before.head - generation,
        since_confirmed=now - before.confirmed if before.confirmed else None,
        same_agent=device.user_agent == before.device.user_agent if device else None,
        address=device.address if device else "",
        last_address=before.device.address,
    )
