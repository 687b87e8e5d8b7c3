"""A gateway that is told to end answers what is under way, and is not held up twice."""

import http.client
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.running import Running, until
from tests.end_to_end.workers.site import OPEN, Site


def alone(site: Site) -> Running:
    site.config |= {"workers": 1}
    return site.start(routes=OPEN)


def held(site: Site, worker_count: int) -> tuple[list[threading.Thread], list[int]]:
    """Have requests under way, and collect how they end; 0 is a connection that broke."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(site.client().get("/held").status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(8 * worker_count)]
    for thread in threads:
        thread.start()
    arrived: Callable[[], bool] = lambda: len(site.app.arrivals) >= len(threads)  # noqa: E731
    until(arrived, "all requests are with the app")
    return threads, statuses


@pytest.mark.parametrize("workers", [1, 2])
class TestTheEnd:
    def test_a_sigterm_answers_what_is_under_way_and_turns_readiness_first(
        self, site: Site, workers: int
    ):
        gateway = site.start(workers=workers, routes=OPEN) if workers == 2 else alone(site)
        threads, statuses = held(site, workers)

        gateway.terminate()
        until(lambda: site.operations.get("/readyz").status == 503, "readiness tells")
        assert site.operations.get("/readyz").json()["status"] == "draining"
        assert site.operations.get("/healthz").status == 200
        with pytest.raises(ConnectionError):
            site.client().get("/who")
        site.app.release()
        for thread in threads:
            thread.join(10)

        assert statuses == [200] * len(threads)
        assert gateway.wait() == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_waits_for_nobody(
        self, site: Site, workers: int, number: signal.Signals
    ):
        gateway = site.start(workers=workers, routes=OPEN) if workers == 2 else alone(site)
        threads, statuses = held(site, workers)

        gateway.process.send_signal(number)
        until(lambda: site.operations.get("/readyz").status == 503, "it drains")
        began = time.monotonic()
        gateway.process.send_signal(number)

        assert gateway.wait() == 0
        assert time.monotonic() - began < 10, "drain would have been 20 s"
        for thread in threads:
            thread.join(10)
        assert statuses == [0] * len(threads)
