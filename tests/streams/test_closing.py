"""However a stream ends, both its connections end, and nothing is left in the process (W5, H20)."""

import socket
import ssl
from collections.abc import Callable

import pytest

from tests.streams.raw_app import UPGRADE, End, Way, request

Ending = Callable[[End, End], None]


def closes(first: End, second: End) -> None:
    first.close()
    assert second.ended()
    second.close()


def resets(first: End, second: End) -> None:
    first.reset()
    assert second.ended()
    second.close()


def resets_with_the_other(first: End, second: End) -> None:
    first.reset()
    second.reset()


def closes_and_the_other_does_not(first: End, second: End) -> None:
    del second  # it neither reads nor closes
    first.close()


def closes_in_the_middle(first: End, second: End) -> None:
    """Within a message that the other side does not read."""
    first.socket.setblocking(False)
    frame = b"\x82\x7f" + (1 << 40).to_bytes(8) + bytes(1 << 20)
    try:
        for _ in range(64):
            first.socket.sendall(frame)
    except BlockingIOError:
        pass
    first.reset()
    assert second.ended()
    second.close()


def ends_half(first: End, second: End) -> None:
    """One says its last word, and still hears the other's."""
    first.send(b"last word")
    first.end_half()
    assert second.rest() == b"last word"
    second.send(b"answer")
    second.close()
    assert first.rest() == b"answer"
    first.close()


ENDINGS = (closes, resets, resets_with_the_other, closes_and_the_other_does_not)


@pytest.mark.parametrize("who", ["the client", "the app"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_w5_both_ends_of_a_websocket_close_together(way: Way, who: str, ending: Ending):
    _leaves_nothing(way, who, ending)


@pytest.mark.parametrize("who", ["the client", "the app"])
@pytest.mark.parametrize("ending", [ends_half, closes_in_the_middle])
def test_w5_whatever_was_under_way(plain: Way, who: str, ending: Ending):
    _leaves_nothing(plain, who, ending)


def _leaves_nothing(way: Way, who: str, ending: Ending) -> None:
    sockets = way.sockets_at_rest()
    client, app = way.websocket()
    client.send(b"\x82\x05hello")
    assert app.read(7) == b"\x82\x05hello"
    assert way.sockets() == sockets + 2

    ending(*((client, app) if who == "the client" else (app, client)))

    way.back_to(sockets)


@pytest.mark.parametrize("ending", [closes, resets])
@pytest.mark.parametrize("who", ["the client", "the app"])
def test_h20_an_event_stream_ends_on_both_sides(way: Way, who: str, ending: Ending):
    sockets = way.sockets_at_rest()
    client, app, _ = way.asked(request("GET", "/events", "Connection: close"))
    app.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
    client.head()
    assert client.chunked(9) == b"data: 1\n\n"
    assert way.sockets() == sockets + 2

    ending(*((client, app) if who == "the client" else (app, client)))

    way.back_to(sockets)


def test_w5_a_client_that_leaves_during_the_handshake_is_not_waited_for(way: Way):
    sockets = way.sockets_at_rest()
    client, app, _ = way.asked(request("GET", "/ws", *UPGRADE))

    client.reset()

    assert app.ended()
    way.back_to(sockets)


def test_h3_an_answer_whose_tls_ends_without_a_goodbye_is_not_whole(encrypted: Way):
    client, app, _ = encrypted.asked(request("GET", "/download", "Connection: close"))
    app.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbegun")
    client.head()
    assert client.chunked(5) == b"begun"

    socket.socket(fileno=app.socket.detach()).close()

    try:
        rest = client.rest()
    except (ConnectionError, ssl.SSLError):
        rest = b""
    assert rest == b"", "the last chunk would say that it is whole"
