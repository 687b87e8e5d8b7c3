"""What is counted, as plain integers; turned into Prometheus families only when scraped.

Invariant: label values are words of ours (routes, outcomes, upstream names), never a client's text,
so the number of series is bounded by the configuration.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.upstream_metrics import UpstreamState, families
from gateway.sessions.events import Kind, SessionEvent

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_SERIES = 10_000

Reading = Callable[[], float | None]


@dataclass(slots=True)
class Gauges:
    """Where the value of a moment is read when scraped; the app fills in what it has.

    A reading that is not set, or answers None, is left out: absent is not zero.
    """

    connections: Reading | None = None
    tunnels: Reading | None = None
    store_up: Reading | None = None
    revocation_feed_lag_seconds: Reading | None = None
    signing_key_age_seconds: Reading | None = None
    loop_lag_seconds: Reading | None = None
    log_lines_dropped_total: Reading | None = None
    config_last_reload_success_timestamp_seconds: Reading | None = None


_GAUGE_HELP = {
    "connections": "Client connections open now.",
    "tunnels": "WebSocket and other upgraded connections open now.",
    "store_up": "1 when the session store answered last, else 0.",
    "revocation_feed_lag_seconds": "Seconds since the revocation feed was last known complete.",
    "signing_key_age_seconds": "Age of the key that signs access tokens.",
    "loop_lag_seconds": "Longest delay of the event loop within the last 15 seconds.",
    "log_lines_dropped_total": "Log lines dropped because the output was too slow or gone.",
    "config_last_reload_success_timestamp_seconds": "When the configuration in force was loaded.",
}

# Which counter an event moves, and with which label when the event names no outcome itself. What
# happened to a session is counted where it happened (`session`), not where somebody asked for it.
_LOGINS = {
    AuditKind.SIGNED_IN: "ok",
    AuditKind.SIGN_IN_FAILED: "failed",
    AuditKind.SIGN_IN_THROTTLED: "throttled",
    AuditKind.SIGN_IN_UNAVAILABLE: "unavailable",
}
# A theft, or a token ahead of its session, is refused too, and was counted as what it is.
_COUNTED_AS_SESSION = frozenset({Kind.THEFT.value, Kind.AHEAD.value})
_UNCOUNTED = frozenset({Kind.STARTED, Kind.ENDED})
_REFRESHES = (*(kind.value for kind in Kind if kind not in _UNCOUNTED), "store_error")


class Metrics(Collector):
    """All counters of one process."""

    def __init__(self, version: str, max_series: int = MAX_SERIES) -> None:
        self.gauges = Gauges()
        self.upstreams: Callable[[], Iterable[UpstreamState]] | None = None
        self._version = version
        self._max_series = max_series
        # (route, code class, decision) -> [sum of seconds, requests per bucket of duration …]
        self._requests: dict[tuple[str, int, str], list[float]] = {}
        # Known outcomes begin at 0, so that the first of a kind is already an increase.
        self._logins: dict[tuple[str, ...], int] = {(word,): 0 for word in _LOGINS.values()}
        self._refreshes: dict[tuple[str, ...], int] = {(word,): 0 for word in _REFRESHES}
        self._ended: dict[tuple[str, ...], int] = {}
        self._upstream_errors: dict[tuple[str, ...], int] = {}
        self._rejections: dict[tuple[str, ...], int] = {}
        self._cross_site = 0
        self._last_reload = 1

    # Counting, on the way of a request.

    def request(self, route: str | None, status: int, decision: str, seconds: float) -> None:
        """Count one finished request."""
        key = (route or "", status // 100, decision)
        try:
            series = self._requests[key]
        except KeyError:
            series = self._new_series(key)
        series[0] += seconds
        series[bisect_left(DURATION_BOUNDS, seconds) + 1] += 1

    def token_rejected(self, reason: str) -> None:
        """Count one access token that proved nothing."""
        _add(self._rejections, (reason,))

    def upstream_error(self, upstream: str, kind: str) -> None:
        """Count one failure to get an answer from *upstream*."""
        _add(self._upstream_errors, (upstream, kind))

    def event(self, event: AuditEvent) -> None:
        """Count what *event* tells."""
        kind = event.kind
        if kind in _LOGINS:
            _add(self._logins, (_LOGINS[kind],))
        if kind is AuditKind.REFRESH_UNAVAILABLE:
            _add(self._refreshes, ("store_error",))
        if kind is AuditKind.REFRESH_REFUSED and event.outcome not in _COUNTED_AS_SESSION:
            _add(self._refreshes, (event.outcome or "refused",))
        if kind is AuditKind.CROSS_SITE_REFUSED:
            self._cross_site += 1
        if kind in (AuditKind.CONFIG_RELOADED, AuditKind.CONFIG_REFUSED):
            self._last_reload = int(kind is AuditKind.CONFIG_RELOADED)

    def session(self, event: SessionEvent) -> None:
        """Count what happened to a session."""
        if event.kind not in _UNCOUNTED:
            _add(self._refreshes, (event.kind.value,))
        if event.kind is Kind.ENDED:
            _add(self._ended, (event.reason,))
        if event.kind is Kind.THEFT:
            _add(self._ended, (Kind.THEFT.value,))

    def _new_series(self, key: tuple[str, int, str]) -> list[float]:
        if len(self._requests) >= self._max_series:
            key = ("other", 0, "other")  # a caller broke the invariant; memory stays bounded
        return self._requests.setdefault(key, [0.0, *(0 for _ in DURATION_BOUNDS), 0])

    # Telling, when scraped.

    def collect(self) -> Iterator[Metric]:
        """Yield every family; called by the registry."""
        yield InfoMetricFamily(
            "gateway_build",
            "What is running.",
            {"version": self._version, "python": platform.python_version()},
        )
        yield from self._request_families()
        yield _counter("gateway_login", "Sign-ins.", ("outcome",), self._logins)
        yield _counter("gateway_refresh", "Token renewals.", ("outcome",), self._refreshes)
        yield _counter("gateway_sessions_revoked", "Sessions ended.", ("reason",), self._ended)
        yield _counter(
            "gateway_upstream_errors",
            "Requests that an upstream did not answer.",
            ("upstream", "kind"),
            self._upstream_errors,
        )
        yield _counter(
            "gateway_token_rejections",
            "Access tokens that proved nothing.",
            ("reason",),
            self._rejections,
        )
        yield _counter(
            "gateway_cross_site_refusals",
            "Requests of other sites that were refused.",
            (),
            {(): self._cross_site},
        )
        yield GaugeMetricFamily(
            "gateway_config_last_reload_success",
            "1 when the configuration was last loaded, 0 when a bad one was refused.",
            self._last_reload,
        )
        yield from self._gauge_families()
        if self.upstreams is not None:
            yield from families(self.upstreams())

    def _request_families(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "gateway_requests",
            "Requests answered.",
            labels=("route", "code_class", "decision"),
        )
        per_route: dict[str, list[float]] = {}
        for (route, code_class, decision), series in list(self._requests.items()):
            code = f"{code_class}xx" if code_class else "other"
            requests.add_metric((route, code, decision), sum(series[1:]))
            known = per_route.get(route)
            per_route[route] = (
                series[:] if known is None else [a + b for a, b in zip(known, series, strict=True)]
            )
        yield requests
        durations = HistogramMetricFamily(
            "gateway_request_duration_seconds",
            "Time from the request's head to the last byte of the answer.",
            labels=("route",),
        )
        bounds = [*(str(bound) for bound in DURATION_BOUNDS), "+Inf"]
        for route, (seconds, *buckets) in per_route.items():
            cumulative = zip(bounds, accumulate(buckets), strict=True)
            durations.add_metric((route,), list(cumulative), seconds)
        yield durations

    def _gauge_families(self) -> Iterator[Metric]:
        for name, explanation in _GAUGE_HELP.items():
            reading: Reading | None = getattr(self.gauges, name)
            value = None if reading is None else reading()
            if value is not None:
                family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                yield family(f"gateway_{name}", explanation, value=value)


class Exposition:
    """Renders one process's metrics, and the usual ones about the process itself."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, as the scraper's Accept header asks."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _add(counts: dict[tuple[str, ...], int], key: tuple[str, ...]) -> None:
    counts[key] = counts.get(key, 0) + 1


def _counter(
    name: str, explanation: str, labels: tuple[str, ...], counts: dict[tuple[str, ...], int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, explanation, labels=labels)
    for key, value in list(counts.items()):
        family.add_metric(key, value)
    return family
