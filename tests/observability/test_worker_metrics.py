"""What several workers counted, in one exposition that names each."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.metrics import Exposition, Metrics
from gateway.observability.worker_metrics import OPEN_METRICS, of_workers


def counted(requests):
    metrics = Metrics("1.2.3")
    metrics.gauges.connections = lambda: 7.0
    for _ in range(requests):
        metrics.request("/*", 200, "forward", 0.01)
    metrics.event(AuditEvent(AuditKind.SIGNED_IN))
    return Exposition(metrics).render(OPEN_METRICS)[0].decode()


@pytest.mark.parametrize(
    ("accept", "parse", "name"),
    [("", plain, "gateway_requests"), (OPEN_METRICS, open_metrics, "gateway_requests")],
)
def test_every_sample_says_whose_it_is_and_every_family_comes_once(accept, parse, name):
    text, content_type = of_workers({0: counted(3), 1: counted(5)}, accept)

    families = list(parse(text.decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    (requests,) = [family for family in families if family.name == name]
    assert {
        sample.labels["worker"]: sample.value
        for sample in requests.samples
        if sample.name == "gateway_requests_total"
    } == {"0": 3.0, "1": 5.0}
    assert all("worker" in s.labels for family in families for s in family.samples)
    assert ("openmetrics" in content_type) == bool(accept)


def test_one_alone_has_the_same_families_as_without_workers():
    alone = {family.name for family in open_metrics(counted(1))}
    text, _ = of_workers({0: counted(1)}, OPEN_METRICS)

    assert {family.name for family in open_metrics(text.decode())} == alone
