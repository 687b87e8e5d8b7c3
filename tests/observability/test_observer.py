"""Every decision is recorded once: one metric, one line."""

import logging

from gateway.observability.access_log import AccessLog, FinishedRequest
from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import LineFormat
from gateway.observability.metrics import Metrics
from gateway.observability.observer import Observer
from gateway.sessions.events import Kind, SessionEvent
from tests.fakes import FakeClock
from tests.observability.test_metrics import samples

REQUEST = FinishedRequest(
    "203.0.113.9", "GET", "app.example.org", "HTTP/1.1", "/*", "alice", "AAAA", "forward",
    b"curl/8", "/a", 200, 0, 5, 0.1, 0.09, "00000001",
)  # fmt: skip


def test_a_finished_request_is_one_line_and_one_count():
    lines: list[str] = []
    access_log = AccessLog(
        lambda batch: not lines.append(batch), FakeClock(), LineFormat.JSON, lambda *_: None
    )
    metrics = Metrics("1")
    observer = Observer(access_log, metrics)

    observer.request_finished(REQUEST)
    access_log.flush()

    assert "".join(lines).count("\n") == 1
    assert '"path":"/a"' in lines[0]
    assert samples(metrics)["gateway_requests_total", "2xx", "forward", "/*"] == 1


def test_without_an_access_log_requests_are_still_counted():
    metrics = Metrics("1")

    Observer(None, metrics).request_finished(REQUEST)

    assert samples(metrics)["gateway_requests_total", "2xx", "forward", "/*"] == 1


def test_an_event_is_one_audit_line_and_one_count(caplog):
    caplog.set_level(logging.INFO, "gateway.audit")
    metrics = Metrics("1")

    Observer(None, metrics).event(AuditEvent(AuditKind.SIGNED_IN, user="alice"))

    assert [record.getMessage() for record in caplog.records] == ["login.ok"]
    assert samples(metrics)["gateway_login_total", "ok"] == 1


def test_what_happens_to_a_session_is_one_audit_line_and_one_count(caplog):
    caplog.set_level(logging.INFO, "gateway.audit")
    metrics = Metrics("1")
    observer = Observer(None, metrics)

    observer.session(SessionEvent(Kind.STARTED, "0123", "alice"))
    observer.session(SessionEvent(Kind.GRACE, "0123", "alice"))

    assert [record.getMessage() for record in caplog.records] == ["refresh.ok"]
    assert samples(metrics)["gateway_refresh_total", "grace"] == 1


def test_what_anybody_can_cause_is_counted_and_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    metrics = Metrics("1")
    observer = Observer(None, metrics)

    observer.token_rejected("expired")
    observer.upstream_error("app", "timeout")

    assert caplog.records == []
    scraped = samples(metrics)
    assert scraped["gateway_token_rejections_total", "expired"] == 1
    assert scraped["gateway_upstream_errors_total", "timeout", "app"] == 1
