"""Security events as log lines: which are warnings, and what they may hold."""

import logging
import re
from pathlib import Path

import pytest

from gateway.observability.audit import AuditEvent, AuditKind, write
from gateway.observability.line import session_hash


def test_an_event_is_a_record_with_only_what_is_known(caplog):
    caplog.set_level(logging.INFO, "gateway.audit")

    write(
        AuditEvent(
            AuditKind.SIGNED_IN,
            user="alice",
            session=session_hash("AAAAAAAA"),
            client="203.0.113.9",
            provider="users",
        )
    )

    (record,) = caplog.records
    assert record.name == "gateway.audit"
    assert record.getMessage() == "login.ok"
    assert record.fields == {
        "user": "alice",
        "session": session_hash("AAAAAAAA"),
        "client": "203.0.113.9",
        "provider": "users",
    }


@pytest.mark.parametrize("kind", AuditKind)
def test_what_someone_should_look_at_is_a_warning(kind, caplog):
    caplog.set_level(logging.INFO, "gateway.audit")

    write(AuditEvent(kind))

    alarming = kind.value.split(".")[-1] in {
        "failed", "throttled", "unavailable", "theft", "ahead",
    } or kind in {
        AuditKind.REGISTRATION_REFUSED,
        AuditKind.CROSS_SITE_REFUSED,
        AuditKind.CONFIG_REFUSED,
    }  # fmt: skip
    assert caplog.records[0].levelname == ("WARNING" if alarming else "INFO")


def test_a_client_cannot_make_an_event_long(caplog):
    caplog.set_level(logging.INFO, "gateway.audit")

    evidence = {"last_client": "y" * 10_000, "unknown": None}
    write(AuditEvent(AuditKind.SIGN_IN_FAILED, user="x" * 10_000, count=1, evidence=evidence))

    assert caplog.records[0].fields == {"user": "x" * 256, "count": 1, "last_client": "y" * 256}


def test_the_documentation_lists_every_event_and_no_other():
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    section = text.partition("## Audit events")[2].partition("\n## ")[0]

    listed = set(re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE))

    assert listed == {kind.value for kind in AuditKind}
