"""The one door through which every decision is recorded once: log line, audit event, metric."""

from collections.abc import Callable

from gateway.observability import audit
from gateway.observability.access_log import AccessLog, FinishedRequest
from gateway.observability.audit import AuditEvent
from gateway.observability.metrics import Metrics
from gateway.observability.session_audit import audited
from gateway.sessions.events import SessionEvent


class Observer:
    """What the app hands to proxy, portal and operations.

    `token_rejected(reason)` and `upstream_error(upstream, kind)` move nothing but a number, since
    anybody can cause them as fast as they like. *access_log* is None when it is off.
    """

    def __init__(self, access_log: AccessLog | None, metrics: Metrics) -> None:
        self._access_log = access_log
        self._metrics = metrics
        self.logs_requests = access_log is not None
        # What is left of `request_finished` while nobody logs: a metric.
        self.request_counted: Callable[[str | None, int, str, float], None] = metrics.request
        self.token_rejected: Callable[[str], None] = metrics.token_rejected
        self.upstream_error: Callable[[str, str], None] = metrics.upstream_error

    def request_finished(self, request: FinishedRequest) -> None:
        """Record one finished request: a metric, and a line if the access log is on."""
        self._metrics.request(request.route, request.status, request.decision, request.duration)
        if self._access_log is not None:
            self._access_log.record(request)

    def event(self, event: AuditEvent) -> None:
        """Record one security event."""
        self._metrics.event(event)
        audit.write(event)

    def session(self, event: SessionEvent) -> None:
        """Record what happened to a session; `Lifecycle` takes this as its `observe`."""
        self._metrics.session(event)
        told = audited(event)
        if told is not None:
            audit.write(told)
