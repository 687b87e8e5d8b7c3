"""Security events: who got in, who did not, and what was taken away.

Invariant: an event can only name a session by its hash, and holds no credential of any kind.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum

from gateway.observability.line import TEXT_LIMIT, SessionHash

_LOG = logging.getLogger("gateway.audit")


class AuditKind(Enum):
    """What happened. The value is the `message` of the log line."""

    SIGNED_IN = "login.ok"
    SIGN_IN_FAILED = "login.failed"
    SIGN_IN_THROTTLED = "login.throttled"
    SIGN_IN_UNAVAILABLE = "login.unavailable"
    REGISTERED = "register.ok"
    REGISTRATION_REFUSED = "register.refused"
    REFRESHED = "refresh.ok"
    REFRESH_REFUSED = "refresh.refused"
    REFRESH_UNAVAILABLE = "refresh.unavailable"
    REFRESH_AHEAD = "refresh.ahead"
    THEFT = "refresh.theft"
    SIGNED_OUT = "logout"
    SESSION_ENDED = "session.ended"
    CROSS_SITE_REFUSED = "cross_site.refused"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REFUSED = "config.refused"
    KEYS_ROTATED = "keys.rotated"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One security event; what is not known stays None and out of the line.

    *outcome* says which way among those of one kind: `rotated` or `grace` for a refresh, `expired`
    for a refused one, `admin` for an ended session. It becomes a metric label: a fixed word, never
    a client's text. *count* is the number of sessions that ended, *evidence* more fields.
    """

    kind: AuditKind
    outcome: str | None = None
    user: str | None = None
    session: SessionHash | None = None
    client: str | None = None
    provider: str | None = None
    count: int | None = None
    detail: str | None = None
    request_id: str | None = None
    user_agent: str | None = None
    evidence: Mapping[str, str | int | bool | None] = field(default_factory=dict)


_INFO = frozenset(
    {
        AuditKind.SIGNED_IN,
        AuditKind.REGISTERED,
        AuditKind.REFRESHED,
        AuditKind.REFRESH_REFUSED,
        AuditKind.SIGNED_OUT,
        AuditKind.SESSION_ENDED,
        AuditKind.CONFIG_RELOADED,
        AuditKind.KEYS_ROTATED,
    }
)
_FIELDS = tuple(
    known.name for known in fields(AuditEvent) if known.name not in ("kind", "evidence")
)


def write(event: AuditEvent) -> None:
    """Log *event*: usual ones as info, those someone should look at as warnings."""
    level = logging.INFO if event.kind in _INFO else logging.WARNING
    _LOG.log(level, event.kind.value, extra={"fields": _named(event)})


def _named(event: AuditEvent) -> dict[str, object]:
    known = {name: getattr(event, name) for name in _FIELDS} | dict(event.evidence)
    return {name: _cut(value) for name, value in known.items() if value is not None}


def _cut(value: object) -> object:
    return value[:TEXT_LIMIT] if isinstance(value, str) else value
