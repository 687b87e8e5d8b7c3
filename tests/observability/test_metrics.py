"""Metrics as Prometheus reads them, and what counting costs."""

import re
import timeit
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.metrics import Exposition, Metrics
from gateway.sessions.events import Kind, SessionEvent

ENDED = "gateway_sessions_revoked_total"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(metrics: Metrics, accept: str = "") -> dict[tuple[str, ...], float]:
    """Everything scraped: (name, values by the names of their labels …) → value."""
    text, _content_type = Exposition(metrics).render(accept)
    parse = parse_openmetrics if accept else parse_text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_requests_are_counted_by_route_code_class_and_decision(metrics, accept):
    metrics.request("/*", 200, "forward", 0.002)
    metrics.request("/*", 204, "forward", 0.002)
    metrics.request("/*", 401, "refuse:anonymous", 0.0001)
    metrics.request(None, 404, "refuse:no-route", 0.0001)

    scraped = samples(metrics, accept)

    assert scraped["gateway_requests_total", "2xx", "forward", "/*"] == 2
    assert scraped["gateway_requests_total", "4xx", "refuse:anonymous", "/*"] == 1
    assert scraped["gateway_requests_total", "4xx", "refuse:no-route", ""] == 1


def test_durations_fall_into_the_buckets_they_do_not_exceed(metrics):
    for seconds in (0.001, 0.0011, 4.0, 60.0):
        metrics.request("/*", 200, "forward", seconds)
    metrics.request("/*", 500, "forward", 0.3)

    scraped = samples(metrics)

    name = "gateway_request_duration_seconds"
    assert scraped[f"{name}_bucket", "0.001", "/*"] == 1
    assert scraped[f"{name}_bucket", "0.0025", "/*"] == 2
    assert scraped[f"{name}_bucket", "0.5", "/*"] == 3
    assert scraped[f"{name}_bucket", "5.0", "/*"] == 4
    assert scraped[f"{name}_bucket", "+Inf", "/*"] == 5
    assert scraped[f"{name}_count", "/*"] == 5
    assert scraped[f"{name}_sum", "/*"] == pytest.approx(64.3021)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(100, 599), st.floats(0, 100))))
def test_whatever_is_counted_the_histogram_agrees_with_the_counter(requests):
    metrics = Metrics("1")
    for route, status, seconds in requests:
        metrics.request(route, status, "forward", seconds)

    scraped = samples(metrics)

    for route in {route for route, _, _ in requests}:
        total = sum(
            value
            for key, value in scraped.items()
            if key[0] == "gateway_requests_total" and key[3] == route
        )
        assert total == scraped["gateway_request_duration_seconds_count", route]
        assert total == sum(1 for known, _, _ in requests if known == route)


@pytest.mark.parametrize(
    ("event", "sample"),
    [
        (AuditEvent(AuditKind.SIGNED_IN), ("gateway_login_total", "ok")),
        (AuditEvent(AuditKind.SIGN_IN_FAILED), ("gateway_login_total", "failed")),
        (AuditEvent(AuditKind.SIGN_IN_THROTTLED), ("gateway_login_total", "throttled")),
        (AuditEvent(AuditKind.SIGN_IN_UNAVAILABLE), ("gateway_login_total", "unavailable")),
        (AuditEvent(AuditKind.REFRESH_REFUSED), ("gateway_refresh_total", "refused")),
        (AuditEvent(AuditKind.REFRESH_REFUSED, "expired"), ("gateway_refresh_total", "expired")),
        (
            AuditEvent(AuditKind.REFRESH_UNAVAILABLE, "store"),
            ("gateway_refresh_total", "store_error"),
        ),
        (AuditEvent(AuditKind.CROSS_SITE_REFUSED), ("gateway_cross_site_refusals_total",)),
    ],
)
def test_an_event_moves_its_counter(metrics, event, sample):
    before = samples(metrics).get(sample, 0)

    metrics.event(event)

    assert samples(metrics)[sample] == before + 1


@pytest.mark.parametrize("kind", set(Kind) - {Kind.STARTED, Kind.ENDED})
def test_every_showing_of_a_refresh_token_is_counted_by_what_came_of_it(metrics, kind):
    metrics.session(SessionEvent(kind, "0123", "alice"))

    assert samples(metrics)["gateway_refresh_total", kind.value] == 1


@pytest.mark.parametrize("outcome", ["theft", "ahead"])
def test_a_theft_is_not_counted_again_as_a_refusal(metrics, outcome):
    metrics.event(AuditEvent(AuditKind.REFRESH_REFUSED, outcome))

    assert samples(metrics)["gateway_refresh_total", outcome] == 0


def test_a_session_that_ends_is_counted_by_its_reason_and_one_that_begins_is_not(metrics):
    for kind, reason in ((Kind.STARTED, ""), (Kind.ENDED, "logout"), (Kind.THEFT, "theft:parent")):
        metrics.session(SessionEvent(kind, "0123", "alice", reason))

    ended = {key[1:]: n for key, n in samples(metrics).items() if key[0] == ENDED}
    assert ended == {("logout",): 1, ("theft",): 1}


def test_who_asked_for_an_end_is_not_counted_beside_the_end(metrics):
    metrics.event(AuditEvent(AuditKind.SIGNED_OUT))
    metrics.event(AuditEvent(AuditKind.SESSION_ENDED, "user", count=3))

    assert not any(key[0] == ENDED for key in samples(metrics))


def test_the_last_reload_is_told_until_the_next(metrics):
    name = ("gateway_config_last_reload_success",)
    assert samples(metrics)[name] == 1

    metrics.event(AuditEvent(AuditKind.CONFIG_REFUSED))
    assert samples(metrics)[name] == 0

    metrics.event(AuditEvent(AuditKind.CONFIG_RELOADED))
    assert samples(metrics)[name] == 1


def test_known_outcomes_begin_at_zero(metrics):
    scraped = samples(metrics)

    assert scraped["gateway_login_total", "failed"] == 0
    assert scraped["gateway_refresh_total", "theft"] == 0


def test_rejected_tokens_and_upstream_errors_are_counted(metrics):
    metrics.token_rejected("signature")
    metrics.upstream_error("app", "connect")
    metrics.upstream_error("app", "connect")

    scraped = samples(metrics)

    assert scraped["gateway_token_rejections_total", "signature"] == 1
    assert scraped["gateway_upstream_errors_total", "connect", "app"] == 2


def test_gauges_are_read_when_scraped_and_absent_is_not_zero(metrics):
    connections = [3.0]
    metrics.gauges.connections = lambda: connections[0]
    metrics.gauges.store_up = lambda: 0
    metrics.gauges.revocation_feed_lag_seconds = lambda: None

    connections[0] = 4
    scraped = samples(metrics)

    assert scraped["gateway_connections",] == 4
    assert scraped["gateway_store_up",] == 0
    assert ("gateway_revocation_feed_lag_seconds",) not in scraped
    assert ("gateway_tunnels",) not in scraped


def test_every_gauge_has_its_place(metrics):
    for name in metrics.gauges.__slots__:
        setattr(metrics.gauges, name, lambda: 7.0)

    scraped = samples(metrics)

    assert all(scraped[f"gateway_{name}",] == 7 for name in metrics.gauges.__slots__)


def test_the_documentation_lists_every_metric_and_no_other(metrics):
    for name in metrics.gauges.__slots__:
        setattr(metrics.gauges, name, lambda: 7.0)
    metrics.upstreams = list
    exposed = {family.name + "_total" * (family.type == "counter") for family in metrics.collect()}

    listed = set(re.findall(r"^\| `(gateway_\w+)", DOCS.read_text(), re.MULTILINE))

    assert listed == {name.replace("gateway_build", "gateway_build_info") for name in exposed}


def test_build_and_process_are_told(metrics):
    scraped = samples(metrics)

    assert any(key[0] == "gateway_build_info" and "1.2.3" in key for key in scraped)
    assert scraped["process_resident_memory_bytes",] > 0


def test_hostile_label_values_stay_bounded_and_readable():
    metrics = Metrics("1", max_series=20)
    for number in range(120):
        metrics.request(f'/"\n\\{number}', 200, "forward", 0.1)

    scraped = samples(metrics)

    assert scraped["gateway_requests_total", "other", "other", "other"] == 100
    assert sum(key[0] == "gateway_requests_total" for key in scraped) == 21


def test_counting_a_request_costs_well_under_a_microsecond(metrics):
    # The budget is 0.5; the bound is loose, so that only a change of kind fails on a busy machine.
    def one() -> None:
        metrics.request("/*", 200, "forward", 0.0023)

    assert min(timeit.repeat(one, number=5_000, repeat=5)) / 5_000 < 3e-6
