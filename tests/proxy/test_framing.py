"""Where a body ends has one answer (SECURITY H1, H2, H12, H16)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.framing import (
    CHUNKED,
    LAST_CHUNK,
    ChunkedBody,
    LengthBody,
    chunk,
    request_framing,
)
from gateway.request import BadRequest


@pytest.mark.parametrize(
    ("length", "encoding", "version", "framing"),
    [
        (None, None, "1.1", 0),
        (b"0", None, "1.1", 0),
        (b"005", None, "1.1", 5),
        (b"17", None, "1.0", 17),
        (b"5 ", None, "1.1", 5),
        (None, b"chunked", "1.1", CHUNKED),
        (None, b"Chunked", "1.1", CHUNKED),
    ],
)
def test_framing_follows_from_the_headers(length, encoding, version, framing):
    assert request_framing(length, encoding, version) == framing


@pytest.mark.parametrize(
    ("length", "encoding", "version"),
    [
        (b"5", b"chunked", "1.1"),
        (None, b"chunked", "1.0"),
        (None, b"", "1.1"),
        (None, b"gzip, chunked", "1.1"),
        (None, b"chunked, chunked", "1.1"),
        (None, b"xchunked", "1.1"),
        (b"+5", None, "1.1"),
        (b"-1", None, "1.1"),
        (b"", None, "1.1"),
        (b"5, 5", None, "1.1"),
        (b"0x5", None, "1.1"),
        (b"9" * 19, None, "1.1"),
        ("٥".encode(), None, "1.1"),
    ],
)
def test_h1_ambiguous_framing_is_refused(length, encoding, version):
    with pytest.raises(BadRequest):
        request_framing(length, encoding, version)


def test_a_body_of_known_length_leaves_what_follows():
    body = LengthBody(5)

    assert body.feed(b"abc") == (b"abc", b"")
    assert not body.complete
    assert body.feed(b"deGET /") == (b"de", b"GET /")
    assert body.complete


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_a_chunked_body_is_decoded_however_it_arrives(pieces, data):
    wire = b"".join(map(chunk, pieces)) + LAST_CHUNK + b"GET /next"
    body, decoded, rest = ChunkedBody(), b"", b""
    at = 0
    while at < len(wire):
        step = data.draw(st.integers(1, len(wire) - at))
        if body.complete:
            rest += wire[at : at + step]
        else:
            more, left = body.feed(wire[at : at + step])
            decoded += more
            rest += left
        at += step

    assert decoded == b"".join(pieces)
    assert body.complete
    assert rest == b"GET /next"


@pytest.mark.parametrize(
    "wire",
    [
        b"5;name=value\r\nhello\r\n0\r\n\r\n",
        b"05\r\nhello\r\n0;x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nTrailer: x\r\nHost: evil\r\n\r\n",
    ],
)
def test_h12_extensions_and_trailers_are_dropped(wire):
    body = ChunkedBody()

    assert body.feed(wire) == (b"hello", b"")
    assert body.complete


@pytest.mark.parametrize(
    "wire",
    [
        *(b"5\nhello\n0\n\n", b"5 \r\nhello\r\n", b" 5\r\nhello\r\n", b"+5\r\nhello\r\n"),
        *(b"0x5\r\nhello\r\n", b"-1\r\n", b"\r\n", b"g\r\n", b"5\r\nhelloo\r\n", b"5\r\nhello0"),
        *(b"5;a\rb\r\nhello\r\n", b"5;a\x00\r\nhello\r\n", b"5\r\rhello", b"5\r\nhello\rX"),
        *(b"00000000000000005\r\nhello\r\n", b"0\r\nbad trailer\r\n\r\n", b"0\r\n: x\r\n\r\n"),
        *(b"0\r\na: \x00\r\n\r\n", b"5" * 5000, b"5;" + b"x" * 5000, b"5;" + b"x" * 5000 + b"\r\n"),
        b"0\r\n" + b"a: " + b"x" * 9000 + b"\r\n\r\n",
        b"1;" + b"x" * 4000 + b"\r\nb\r\n" + (b"1;" + b"x" * 4000 + b"\r\nb\r\n") * 5,
    ],
)
def test_h1_a_malformed_chunked_body_is_refused(wire):
    with pytest.raises(BadRequest):
        ChunkedBody().feed(wire)


@given(st.text(alphabet="05a;\r\n:x", max_size=30).map(str.encode), st.integers(1, 30))
def test_splitting_never_changes_what_any_bytes_mean(wire, cut):
    def outcome(*pieces):
        body, decoded = ChunkedBody(), b""
        try:
            for piece in pieces:
                if body.complete:
                    break
                decoded += body.feed(piece)[0]
        except BadRequest:
            return "refused"
        return decoded, body.complete

    whole = outcome(wire)
    split = outcome(wire[:cut], wire[cut:])

    assert split == whole
