"""What is known of upstreams, as Prometheus families, from a snapshot taken when scraped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


@dataclass(frozen=True, slots=True)
class TargetState:
    """One server; *in_service* is False while it is ejected or unhealthy."""

    name: str
    in_service: bool
    ejections: int


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """Connections that are open, requests that wait for one, and the servers."""

    name: str
    connections: int
    queued: int
    targets: Sequence[TargetState]


def families(upstreams: Iterable[UpstreamState]) -> Iterator[Metric]:
    """Yield what is known of *upstreams*."""
    connections = GaugeMetricFamily(
        "gateway_upstream_connections",
        "Connections to the upstream open now, WebSockets aside.",
        labels=("upstream",),
    )
    queue = GaugeMetricFamily(
        "gateway_upstream_queue",
        "Requests waiting for a connection to the upstream.",
        labels=("upstream",),
    )
    labels = ("upstream", "target")
    in_service = GaugeMetricFamily(
        "gateway_upstream_target_up", "0 while the target is ejected or unhealthy.", labels=labels
    )
    ejections = CounterMetricFamily(
        "gateway_upstream_ejections", "Times that failures took the target out.", labels=labels
    )
    for upstream in upstreams:
        connections.add_metric((upstream.name,), upstream.connections)
        queue.add_metric((upstream.name,), upstream.queued)
        for target in upstream.targets:
            in_service.add_metric((upstream.name, target.name), float(target.in_service))
            ejections.add_metric((upstream.name, target.name), target.ejections)
    yield from (connections, queue, in_service, ejections)
