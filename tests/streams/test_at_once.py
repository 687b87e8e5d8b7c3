"""Nothing is buffered: a piece arrives before the next is made, in both directions (H17, H20).

The next piece is sent when the other side has shown the one before; had anything waited for more,
the test would wait for it in vain.
"""

import os

import pytest

from tests.streams.raw_app import End, Way, request

EVENTS = (
    b"data: first\n\n",
    b":\n",
    b"\x00\xff\r\n0\r\n\r\n" + bytes(range(256)),
    os.urandom(200_000),
    b"id: 7\ndata: last\n\n",
)
WHOLE = b"".join(EVENTS)
STREAM = "\r\nContent-Type: text/event-stream\r\n"
CLOSE = "Connection: close\r\n\r\n"
HEADS = {
    "chunked": f"HTTP/1.1 200 OK{STREAM}Transfer-Encoding: chunked\r\n{CLOSE}",
    "until close": f"HTTP/1.1 200 OK{STREAM}{CLOSE}",
    "with a length": f"HTTP/1.1 200 OK{STREAM}Content-Length: {len(WHOLE)}\r\n{CLOSE}",
    "of 1.0": f"HTTP/1.0 200 OK{STREAM}\r\n",
}


def framed(data: bytes, framing: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if framing == "chunked" else data


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", HEADS)
def test_h20_each_event_arrives_before_the_next_is_made(way: Way, framing: str, version: str):
    client, app, _ = way.asked(request("GET", "/events", "Connection: close", version=version))
    app.send(HEADS[framing].encode())
    head = client.head()
    chunked = b"\r\nTransfer-Encoding: chunked\r\n" in head

    for event in EVENTS:
        app.send(framed(event, framing))
        assert (client.chunked if chunked else client.read)(len(event)) == event
    if framing == "chunked":
        app.send(b"0\r\n\r\n")
    app.close()

    assert chunked == (version == "1.1" and framing != "with a length")
    assert client.rest() == (b"0\r\n\r\n" if chunked else b"")


def test_h20_a_long_poll_is_answered_when_there_is_something_to_tell(way: Way):
    client, app, _ = way.asked(request("GET", "/poll", "Connection: close"))
    app.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    assert client.head().startswith(b"HTTP/1.1 200 OK\r\n")

    app.send(b"news")

    assert client.rest() == b"news"
    app.close()


@pytest.mark.parametrize("framing", ["chunked", "with a length"])
def test_h17_each_piece_of_an_upload_arrives_before_the_next_is_sent(way: Way, framing: str):
    chunked = framing == "chunked"
    told = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(WHOLE)}"
    client, app, head = way.asked(request("POST", "/upload", told, "Connection: close"))

    for piece in EVENTS:
        client.send(framed(piece, framing))
        assert (app.chunked if chunked else app.read)(len(piece)) == piece
    if chunked:
        client.send(b"0\r\n\r\n")
        assert app.read(5) == b"0\r\n\r\n"

    assert f"\r\n{told}\r\n".encode() in head
    app.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert client.head().startswith(b"HTTP/1.1 204 ")
    app.close()


def test_w3_each_frame_arrives_before_the_next_is_sent_both_ways(way: Way):
    client, app = way.websocket()

    for piece in EVENTS:
        _crosses(client, app, piece)
        _crosses(app, client, piece)

    client.close()
    assert app.ended()
    app.close()


def _crosses(sender: End, receiver: End, data: bytes) -> None:
    sender.send(data)
    assert receiver.read(len(data)) == data
