"""What happened to a session, in the words of the audit log."""

import pytest

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import SessionHash
from gateway.observability.session_audit import audited
from gateway.sessions.events import Kind, SessionEvent


@pytest.mark.parametrize(
    ("kind", "reason", "audit_kind", "outcome"),
    [
        (Kind.ROTATE, "", AuditKind.REFRESHED, "rotate"),
        (Kind.KEEP, "", AuditKind.REFRESHED, "keep"),
        (Kind.REDELIVER, "", AuditKind.REFRESHED, "redeliver"),
        (Kind.GRACE, "", AuditKind.REFRESHED, "grace"),
        (Kind.FAST_FORWARD, "", AuditKind.REFRESHED, "fast-forward"),
        (Kind.AHEAD, "", AuditKind.REFRESH_AHEAD, None),
        (Kind.THEFT, "theft:parent", AuditKind.THEFT, "theft:parent"),
        (Kind.ENDED, "logout", AuditKind.SESSION_ENDED, "logout"),
    ],
)
def test_each_kind_has_its_name_and_outcome(kind, reason, audit_kind, outcome):
    told = audited(SessionEvent(kind, "0123456789abcdef", "alice", reason))

    assert told is not None
    assert (told.kind, told.outcome) == (audit_kind, outcome)


def test_a_session_that_begins_is_told_by_the_sign_in():
    assert audited(SessionEvent(Kind.STARTED, "0123456789abcdef", "alice")) is None


def test_every_other_kind_is_told():
    told = {kind for kind in Kind if audited(SessionEvent(kind, "0", "alice")) is not None}

    assert told == set(Kind) - {Kind.STARTED}


def test_a_theft_comes_with_what_was_seen():
    told = audited(
        SessionEvent(
            Kind.THEFT,
            "0123456789abcdef",
            "alice",
            "theft:ancestor",
            distance=2,
            since_confirmed=90_000,
            same_agent=False,
            address="203.0.113.9",
            last_address="198.51.100.7",
        )
    )

    assert told == AuditEvent(
        AuditKind.THEFT,
        "theft:ancestor",
        user="alice",
        session=SessionHash("0123456789abcdef"),
        client="203.0.113.9",
        evidence={
            "generations_behind": 2,
            "confirmed_ms_ago": 90_000,
            "same_user_agent": False,
            "last_client": "198.51.100.7",
        },
    )
