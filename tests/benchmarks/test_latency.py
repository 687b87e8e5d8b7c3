"""Requests become due when they were to, and the time that they waited is theirs."""

import time
from contextlib import AbstractContextManager

import pytest

from benchmarks import latency, open_loop
from benchmarks.latency import Told
from benchmarks.open_loop import Load, Order
from tests.benchmarks.serving import Answering, serving


def took(p99: float) -> Load:
    return Load(1000, 1.0, p99, 2 * p99, 3 * p99, 0)


def answering(status: int, seconds: float) -> AbstractContextManager[int]:
    """A server that takes *seconds* for every answer, one at a time for each connection."""

    class Slow(Answering):
        protocol_version = "HTTP/1.1"

        def answer(self) -> tuple[int, str]:
            time.sleep(seconds)
            return status, "ok"

    return serving(Slow)


def asked(port: int, rate: float, connections: int) -> Load:
    headers = {"Host": f"127.0.0.1:{port}"}
    return open_loop.run(Order(port, "/", headers, rate, 0.5, connections, 1))


def test_all_ask_at_half_of_what_the_slower_of_gateway_and_envoy_can() -> None:
    loads = latency.loads({"gateway": 800.0, "envoy-hs256": 200.0, "caddy": 100.0})
    assert loads["common"] == {"gateway": 100.0, "envoy-hs256": 100.0, "caddy": 100.0}


def test_each_asks_at_half_of_its_own_too() -> None:
    assert latency.loads({"gateway": 800.0, "nginx": 900.0})["own half"] == {
        "gateway": 400.0,
        "nginx": 450.0,
    }


def test_latencies_are_compared_within_a_round() -> None:
    ours, theirs = [took(2.0), took(30.0), took(2.0)], [took(4.0), took(60.0), took(4.0)]
    assert latency.ratio(ours, theirs) == 0.5


def test_the_table_tells_the_best_round_beside_the_median() -> None:
    row = Told("gateway", "common", 100.0, [took(1.0), took(3.0), took(9.0)]).row(None)
    assert (row[4], row[-1]) == ("3.00", "1.00")


def test_a_request_that_waited_for_a_free_connection_waited() -> None:
    """Sixty in a second are too many for one connection that takes 20 ms for each."""
    with answering(200, 0.02) as port:
        alone, crowded = asked(port, 60.0, 16), asked(port, 60.0, 1)
    assert alone.requests == crowded.requests > 10
    assert alone.p50 >= 20.0
    assert crowded.worst > 5 * 20.0


def test_another_answer_than_200_is_no_answer() -> None:
    with answering(503, 0.0) as port:
        load = asked(port, 20.0, 16)
    assert (load.requests, load.broken > 0) == (0, True)


@pytest.mark.parametrize("length", [b"Content-Length: 2", b"content-length:  2"])
def test_an_answer_ends_where_its_length_says(length: bytes) -> None:
    assert open_loop.length_of(b"HTTP/1.1 200 OK\r\nServer: x\r\n" + length + b"\r\nA: b") == 2
