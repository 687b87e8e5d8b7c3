"""The metrics of several worker processes as one exposition: every sample says whose it is.

Nothing is summed here. Counters begin again at 0 where a worker was replaced, which the reader's
`rate` and `increase` understand for each series, and could not for a sum.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def of_workers(expositions: Mapping[int, str], accept: str) -> tuple[bytes, str]:
    """Render the OpenMetrics texts of all workers as one, as the scraper's Accept header asks."""
    registry = CollectorRegistry()
    registry.register(_Workers(expositions))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Workers(Collector):
    def __init__(self, expositions: Mapping[int, str]) -> None:
        self._expositions = expositions

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for number, text in self._expositions.items():
            for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]  # it ships no types
                known = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type, family.unit)
                )
                known.samples += [
                    sample._replace(labels={**sample.labels, "worker": str(number)})
                    for sample in family.samples
                ]
        yield from families.values()
