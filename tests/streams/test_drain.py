"""SIGTERM: WebSockets are asked to leave, answers may end until `limits.drain` (W5, R7)."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.running import start, until
from tests.streams.raw_app import End, Way, config, raw_app, request

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def draining_after(folder, drain: str) -> Iterator[Way]:
    with raw_app() as app:
        gateway = start(folder, config(app, limits={"drain": drain}))
        way = Way(gateway, app)
        yield way
        way.close()
        gateway.stop()


@pytest.fixture
def patient(tmp_path) -> Iterator[Way]:
    yield from draining_after(tmp_path, "60s")


@pytest.fixture
def hasty(tmp_path) -> Iterator[Way]:
    yield from draining_after(tmp_path, "300ms")


def streaming(way: Way, version: str = "1.1") -> tuple[End, End]:
    client, app, _ = way.asked(request("GET", "/events", version=version))
    app.send(STREAM + b"data: 1\n\n")
    assert client.head().startswith(b"HTTP/1.1 200 OK\r\n")
    assert (client.chunked if version == "1.1" else client.read)(9) == b"data: 1\n\n"
    return client, app


def test_w5_every_websocket_is_told_1001_and_may_say_goodbye(patient: Way):
    sockets = [patient.websocket() for _ in range(3)]

    patient.gateway.terminate()

    for client, app in sockets:
        assert client.read(4) == b"\x88\x0c\x03\xe9"
        assert client.read(10) == b"going away"
        client.send(b"\x88\x82\0\0\0\0\x03\xe9")
        assert app.read(8) == b"\x88\x82\0\0\0\0\x03\xe9"
        app.send(b"\x88\x02\x03\xe9")  # the gateway has said it already
        app.close()
        assert client.rest() == b""
        client.close()
    assert patient.gateway.wait() == 0


def test_r7_answers_under_way_go_on_and_the_process_ends_with_the_last(patient: Way):
    events, producer = streaming(patient)
    download, app, _ = patient.asked(request("GET", "/download", "Connection: close"))
    app.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    download.head()

    patient.gateway.terminate()
    until(lambda: not accepts(patient), "no more clients are accepted")

    producer.send(b"data: 2\n\n")
    assert events.chunked(9) == b"data: 2\n\n"
    app.send(b"def")
    assert download.rest() == b"abcdef"
    assert patient.gateway.process.poll() is None
    producer.close()
    assert events.rest() == b"0\r\n\r\n"
    assert patient.gateway.wait() == 0


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_r7_an_answer_that_is_cut_off_in_the_end_does_not_look_whole(hasty: Way, version: str):
    client, app = streaming(hasty, version)

    hasty.gateway.terminate()

    with pytest.raises(ConnectionResetError):
        client.rest()
    assert app.ended()
    assert hasty.gateway.wait() == 0


def accepts(way: Way) -> bool:
    try:
        way.client().close()
    except OSError:
        return False
    return True
