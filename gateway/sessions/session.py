"""One session as it is stored: what a release does not understand in a record, it keeps.

A record is one flat JSON object in a single spelling, so that equal sessions are equal texts. Its
members are only ever added to, which lets release N read the records of N-1 and of N+1 and write
them back without loss. The members `key`, `key_algorithm`, `bound` and `challenged` are set aside
for device-bound sessions. Nothing a record holds helps to make or to show a token.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeVar

from gateway.identity.principal import Principal

VERSION = 1

_AGENT_LENGTH = 400
_ADDRESS_LENGTH = 64


class UnreadableRecord(Exception):
    """The stored text is damaged, or was written by a release more than one ahead of this one."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a person recognises a session by. A hint for people, never a proof of anything."""

    user_agent: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        """Cut to a bounded length: both come from the client (or the proxy before us)."""
        object.__setattr__(self, "user_agent", self.user_agent[:_AGENT_LENGTH])
        object.__setattr__(self, "address", self.address[:_ADDRESS_LENGTH])


@dataclass(frozen=True, slots=True)
class Session:
    """A family of refresh tokens: times are milliseconds of the store's clock, 0 means never.

    `head` is the newest generation and `parent` the one before it (0: none). `sent` is when a
    cookie with the head was last sent, `confirmed` when the head was first seen in use.
    """

    id: str
    principal: Principal
    device: Device
    created: int
    seen: int
    head: int
    parent: int
    sent: int
    confirmed: int
    ends: int
    idle_ends: int
    revoked: int = 0
    why: str = ""
    version: int = VERSION
    unknown: Mapping[str, object] = field(default_factory=dict)

    @property
    def over_at(self) -> int:
        """When it is or was over: revoked, or at the end of the shorter of its two lives."""
        return self.revoked or min(self.ends, self.idle_ends)

    def alive(self, now: int) -> bool:
        return not self.revoked and now < self.over_at

    def revoke(self, now: int, why: str) -> "Session":
        return replace(self, revoked=now, why=why)


def session_hash(session_id: str) -> str:
    """Return what logs may say of a session: whoever holds a log must not hold session ids."""
    return sha256(session_id.encode()).hexdigest()[:16]


def encode(session: Session) -> str:
    """Write the record in its one spelling."""
    principal = session.principal
    members = {
        **session.unknown,
        "v": session.version,
        "id": session.id,
        "sub": principal.subject,
        "name": principal.name,
        "email": principal.email,
        "groups": list(principal.groups),
        "claims": dict(principal.claims),
        "provider": principal.provider,
        "agent": session.device.user_agent,
        "address": session.device.address,
        **{member: getattr(session, member) for member in _TIMES_AND_GENERATIONS},
        "why": session.why,
    }
    # ASCII only: a lone surrogate or a NUL in a user agent must not upset any store.
    return json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)


def decode(text: str) -> Session:
    """Read a record of this release, the one before or the one after."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord("not JSON") from error
    if not isinstance(members, dict):
        raise UnreadableRecord("not a JSON object")
    version = _take(members, "v", int)
    if version > VERSION + 1:
        raise UnreadableRecord(f"record version {version}; this release reads up to {VERSION + 1}")
    principal = Principal(
        subject=_take(members, "sub", str),
        name=_take(members, "name", str, ""),
        email=_take(members, "email", str, ""),
        groups=tuple(str(group) for group in _take(members, "groups", list, [])),
        claims=_take(members, "claims", dict, {}),
        provider=_take(members, "provider", str, ""),
    )
    device = Device(_take(members, "agent", str, ""), _take(members, "address", str, ""))
    return Session(
        id=_take(members, "id", str),
        principal=principal,
        device=device,
        **{member: _take(members, member, int) for member in _TIMES_AND_GENERATIONS},
        why=_take(members, "why", str, ""),
        version=max(version, VERSION),
        unknown=members,
    )


_TIMES_AND_GENERATIONS = (
    "created",
    "seen",
    "head",
    "parent",
    "sent",
    "confirmed",
    "ends",
    "idle_ends",
    "revoked",
)

_Kind = TypeVar("_Kind")


def _take(
    members: dict[str, Any], name: str, kind: type[_Kind], default: _Kind | None = None
) -> _Kind:
    """Remove and return a known member, so that what remains is the unknown."""
    value = members.pop(name, default)
    if type(value) is not kind:
        raise UnreadableRecord(f"member {name!r} is missing or not of type {kind.__name__}")
    return value
