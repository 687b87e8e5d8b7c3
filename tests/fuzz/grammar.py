"""Requests, answers and bodies built from the pieces of the grammar, then spoilt on purpose.

What a mutation of bytes seldom hits: heads that are right save for one thing, and in many of them.
"""

from hypothesis import strategies as st

_METHODS = st.sampled_from(
    [b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"PROPFIND", b"CONNECT", b"TRACE", b"get", b""]
)
_TARGETS = st.sampled_from(
    [
        b"/public/a",
        b"/x",
        b"/optional/?q",
        b"/small/b",
        b"/auth/verify",
        b"*",
        b"http://a/public/",
        b"/public/%2e%2e/x",
        b"/public//x",
        b"/public/;a",
        b"/a b",
        b"//",
        b"/%",
        b"/\xe9",
        b"a:1",
    ]
)
_VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"RTSP/1.0", b"http/1.1"]
)
_ENDS = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\x00\r\n"])
_COLONS = st.sampled_from([b": "] * 12 + [b":", b":\t", b" : ", b"", b":\x0b"])
_FIELDS = st.sampled_from(
    [
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, X-Forwarded-User, Cookie"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Upgrade", b"h2c"),
        (b"Expect", b"100-continue"),
        (b"Cookie", b"accessToken=@access@; a=b"),
        (b"Cookie", b"accessToken=@expired@; refreshToken=good"),
        (b"Cookie", b"refreshToken=over"),
        (b"Cookie", b"refreshToken=down; \xa0accessToken=x"),
        (b"Authorization", b"Bearer @access@"),
        (b"Authorization", b"Basic YTpi"),
        (b"X-Forwarded-User", b"eve"),
        (b"x_forwarded_user", b"eve"),
        (b"X.Forwarded.Groups", b"admins"),
        (b"X-Forwarded-For", b"1.2.3.4"),
        (b"X-Real-IP", b"1.2.3.4"),
        (b"Forwarded", b"for=1.2.3.4"),
        (b"X-Request-Id", b"mine"),
        (b"Proxy", b"http://evil"),
        (b"Via", b"1.1 other"),
        (b"TE", b"trailers"),
        (b"Transfer_Encoding", b"chunked"),
        (b"Origin", b"https://evil.example"),
        (b"Sec-Fetch-Mode", b"navigate"),
        (b"Accept", b"text/html"),
        (b"X", b"\xff\xfe"),
        (b"", b"nameless"),
        (b"Host", b"b"),
    ]
)
_BODIES = st.binary(max_size=60)


@st.composite
def chunked(draw) -> bytes:
    """A chunked body, right or nearly so."""
    pieces = []
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        size = b"%x" % draw(st.sampled_from([len(data)] * 12 + [len(data) + 1, 0, 2**64]))
        size = draw(st.sampled_from([b""] * 12 + [b"0", b"+", b" ", b"0x"])) + size
        extension = draw(st.sampled_from([b""] * 6 + [b";a", b';a="b"', b"; a", b";", b";\x00"]))
        pieces += [size, extension, draw(_ENDS), data, draw(_ENDS)]
    trailers = draw(st.sampled_from([b""] * 6 + [b"X: y\r\n", b"Host: b\r\n", b" x\r\n"]))
    last = draw(st.sampled_from([b"0"] * 12 + [b"000", b"0;a", b""]))
    return b"".join([*pieces, last, draw(_ENDS), trailers, draw(_ENDS)])


@st.composite
def _framed(draw) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Framing fields, and a body that mostly fits them."""
    kind = draw(st.sampled_from(["none", "none", "length", "chunked", "both", "odd"]))
    body, encoded = draw(_BODIES), draw(chunked())
    length = (b"Content-Length", b"%d" % len(body))
    encoding = (b"Transfer-Encoding", draw(st.sampled_from([b"chunked"] * 6 + [b"Chunked", b"x"])))
    match kind:
        case "none":
            return [], b""
        case "length":
            return [length], body
        case "chunked":
            return [encoding], encoded
        case "both":
            return [length, encoding], draw(st.sampled_from([body, encoded]))
        case _:
            value = draw(st.sampled_from([b"+1", b"1, 1", b"0x1", b"", b"01", b"1 ", b"9" * 30]))
            return [(b"Content-Length", value)], body


@st.composite
def _message(draw, start: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    framing, body = draw(_framed())
    parts = [start, draw(_ENDS)]
    for name, value in draw(st.permutations([*fields, *framing])):
        parts += [name, draw(_COLONS), value, draw(_ENDS)]
    return b"".join([*parts, b"\r\n", body])


@st.composite
def request(draw) -> bytes:
    """One request."""
    blank = draw(st.sampled_from([b" "] * 20 + [b"  ", b"\t", b""]))
    start = blank.join([draw(_METHODS), draw(_TARGETS), draw(_VERSIONS)])
    host = draw(st.sampled_from([[(b"Host", b"a")]] * 12 + [[], [(b"Host", b"a b")]]))
    return draw(_message(start, host + draw(st.lists(_FIELDS, max_size=5))))


@st.composite
def requests(draw) -> bytes:
    """What one connection brings: requests after each other, and perhaps an end in the middle."""
    between = draw(st.sampled_from([b""] * 8 + [b"\r\n", b"\n", b"\r\n\r\n"]))
    data = between.join(draw(st.lists(request(), min_size=1, max_size=4)))
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 6
    + [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"]
    + [b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints"]
    + [b"HTTP/1.1 200", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/2 200", b"ICE/1.0 200 OK"]
    + [b"HTTP/1.1 200 a\x00b", b"HTTP/1.1 500 \xff", b"HTTP/1.1  200 OK", b"HTTP/1.1 099 Low"]
)
_ANSWER_FIELDS = st.sampled_from(
    [
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, Set-Cookie, Date"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Date", b"now"),
        (b"Set-Cookie", b"a=b; Path=/"),
        (b"Set-Cookie", b"accessToken=x"),
        (b"set-cookie", b"=refreshToken=x"),
        (b"Set-Cookie", b"REFRESHTOKEN =x"),
        (b"Cache-Control", b"public"),
        (b"Content-Type", b"text/event-stream"),
        (b"Trailer", b"X"),
        (b"X", b"\x7f"),
    ]
)


@st.composite
def answers(draw) -> bytes:
    """Who asks (one byte, see `response_stream`), and what the app sends."""
    sent = [
        draw(_message(draw(_STATUS_LINES), draw(st.lists(_ANSWER_FIELDS, max_size=4))))
        for _ in range(draw(st.integers(1, 3)))
    ]
    data = b"".join(sent)
    data = data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data
    return bytes((draw(st.integers(0, 7)),)) + data
