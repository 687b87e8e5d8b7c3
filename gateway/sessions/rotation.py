"""Decides what showing a refresh token does to its session; the rules live nowhere else.

One successor, and the parent stays good until the successor has been seen in use. That keeps every
honest browser signed in, whatever answers are lost, late or reordered, provided a request takes
less than `grace` to arrive and an answer less than `delivery`; and it makes whoever shows a token
that others have moved past a thief, which ends the session for both (RFC 9700 §4.14.2).
"""

from dataclasses import dataclass, replace
from enum import Enum

from gateway.sessions.session import Device, Session


@dataclass(frozen=True, slots=True)
class Rules:
    """Milliseconds, except `ahead`: generations that a failed-over store may have forgotten."""

    grace: int = 30_000
    delivery: int = 60_000
    idle: int = 7 * 86_400_000
    ahead: int = 2


class Renewal(Enum):
    """Why a token was good."""

    ROTATE = "rotate"
    KEEP = "keep"
    REDELIVER = "redeliver"
    GRACE = "grace"
    FAST_FORWARD = "fast-forward"


class Refusal(Enum):
    """Why a token was no good, without anybody being a thief. UNKNOWN: no such session is kept."""

    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Renewed:
    """The holder goes on; `after` is the session from now on, its head is what to send."""

    why: Renewal
    after: Session

    @property
    def sends_refresh_token(self) -> bool:
        """Whoever showed the head has it; without a cookie the answer is never the late writer."""
        return self.why not in (Renewal.KEEP, Renewal.FAST_FORWARD)


@dataclass(frozen=True, slots=True)
class Refused:
    why: Refusal


@dataclass(frozen=True, slots=True)
class Theft:
    """Two parties hold the chain: `after` is the session ended for both."""

    after: Session


Outcome = Renewed | Refused | Theft


def present(
    session: Session, generation: int, now: int, rules: Rules, device: Device | None = None
) -> Outcome:
    """Decide what showing the token of *generation* at *now* means. First match wins."""
    if session.revoked:
        return Refused(Refusal.REVOKED)
    if not session.alive(now):
        return Refused(Refusal.EXPIRED)
    if generation > session.head:
        return _present_newer(session, generation, now, rules, device)
    if generation == session.head:
        return _present_head(session, now, rules, device)
    if generation == session.parent:
        return _present_parent(session, now, rules)
    return Theft(session.revoke(now, "theft:ancestor"))


def confirm(session: Session, generation: int, now: int) -> Session:
    """Note that an access token of *generation* was seen in use."""
    if session.alive(now) and generation == session.head and not session.confirmed:
        return replace(session, confirmed=now)
    return session


def _present_newer(
    session: Session, generation: int, now: int, rules: Rules, device: Device | None
) -> Outcome:
    """The signature proves that a store which lost its last write once knew this generation.

    The session goes on from there and does not rotate once more: a request with the generation
    before, which the browser sent before it got this one, may still be on its way.
    """
    if generation > session.head + rules.ahead:
        return Refused(Refusal.AHEAD)
    known = _succeed(session, generation - 1, now, rules, device)
    return Renewed(Renewal.FAST_FORWARD, replace(known, confirmed=now))


def _present_head(session: Session, now: int, rules: Rules, device: Device | None) -> Outcome:
    """Rotate only when nothing still on its way can clash with the rotation."""
    since_sent = now - session.sent
    # An older Set-Cookie may put a stale value back until `delivery` after it was last sent; a
    # request that still carries the parent arrives at most `grace` after the head was seen.
    settled = (
        bool(session.confirmed)
        and now - session.confirmed >= rules.grace
        and since_sent >= rules.delivery
    )
    if settled or since_sent >= rules.delivery + rules.grace:
        return Renewed(Renewal.ROTATE, _succeed(session, session.head, now, rules, device))
    return Renewed(Renewal.KEEP, replace(session, confirmed=session.confirmed or now))


def _present_parent(session: Session, now: int, rules: Rules) -> Outcome:
    """The answer with the successor was lost, or this request was already on its way, or theft."""
    if not session.confirmed:
        return Renewed(Renewal.REDELIVER, replace(session, sent=now))
    # Anchored at the first use of the head, not at the rotation: a lost answer and its late retry
    # would otherwise turn another tab's request in flight into theft.
    if now - session.confirmed <= rules.grace:
        return Renewed(Renewal.GRACE, replace(session, sent=now))
    return Theft(session.revoke(now, "theft:parent"))


def _succeed(
    session: Session, parent: int, now: int, rules: Rules, device: Device | None
) -> Session:
    """Idle life moves on; absolute life never does."""
    return replace(
        session,
        parent=parent,
        head=parent + 1,
        sent=now,
        confirmed=0,
        idle_ends=min(session.ends, now + rules.idle),
        seen=now,
        device=device or session.device,
    )
