"""Requests, answers and bodies built from the pieces of the grammar, then spoilt on purpose.

What a mutation of bytes seldom hits: heads that are right save for one thing, and in many of them.
"""

from hypothesis import strategies as st

_CRLF = st.just(b"\r\n")
_METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"PROPFIND"])
_ODD_METHODS = st.sampled_from([b"CONNECT", b"TRACE", b"get", b"", b"SOURCE", b"\nGET"])
_TARGETS = st.sampled_from(
    [b"/public/a", b"/x", b"/optional/?q", b"/small/b", b"/auth/verify", b"http://a/public/"]
)
_ODD_TARGETS = st.sampled_from(
    [
        b"*",
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
_VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"])
_ODD_VERSIONS = st.sampled_from([b"HTTP/2.0", b"RTSP/1.0", b"http/1.1", b"HTTP/1.1 "])
_ODD_ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\x00\r\n"])
_COLONS = st.sampled_from([b": ", b":", b":\t", b":  "])
_ODD_COLONS = st.sampled_from([b": ", b" : ", b"", b":\x0b"])
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
    ]
)
_ODD_FIELDS = st.sampled_from(
    [(b"", b"nameless"), (b"Host", b"b"), (b"X", b"\x00"), (b"a b", b"c")]
)
_BODIES = st.binary(max_size=60)


# Whether a message is right; every part of one that is not may be wrong.
_RIGHT = st.sampled_from([True, True, False])


@st.composite
def chunked(draw, *, right: bool | None = None) -> bytes:
    """A chunked body, *right* or nearly so."""
    right = draw(_RIGHT) if right is None else right
    ends = _CRLF if right else _ODD_ENDS
    pieces = []
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        number = len(data) if right else draw(st.sampled_from([len(data), len(data) + 1, 0, 2**64]))
        before = b"" if right else draw(st.sampled_from([b"", b"0", b"+", b" ", b"0x"]))
        extension = draw(st.sampled_from([b"", b"", b";a", b';a="b"']))
        if not right:
            extension = draw(st.sampled_from([b"", b"; a", b";", b";\x00"]))
        pieces += [before, b"%x" % number, extension, draw(ends), data, draw(ends)]
    trailers = draw(st.sampled_from([b"", b"", b"X: y\r\n", b"Host: b\r\n"]))
    last = draw(st.sampled_from([b"0", b"0", b"000", b"0;a"]))
    if not right:
        last, trailers = draw(st.sampled_from([(b"", b""), (b"0", b" x\r\n"), (b"0", b"")]))
    return b"".join([*pieces, last, draw(ends), trailers, draw(ends)])


@st.composite
def _framed(draw, *, right: bool) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Framing fields, and a body that fits them where it is *right*."""
    kind = draw(st.sampled_from(["none", "length", "chunked"] if right else ["both", "odd", "x"]))
    body, encoded = draw(_BODIES), draw(chunked(right=right))
    length = (b"Content-Length", b"%d" % len(body))
    encoding = (b"Transfer-Encoding", b"chunked")
    match kind:
        case "none":
            return [], b""
        case "length":
            return [length], body
        case "chunked":
            return [encoding], encoded
        case "both":
            return [length, encoding], draw(st.sampled_from([body, encoded]))
        case "x":
            value = draw(st.sampled_from([b"Chunked", b"x", b"chunked, chunked", b"", b"chunked"]))
            return [(b"Transfer-Encoding", value)], encoded
        case _:
            value = draw(st.sampled_from([b"+1", b"1, 1", b"0x1", b"", b"01", b"1 ", b"9" * 30]))
            return [(b"Content-Length", value)], body


@st.composite
def _message(draw, start: bytes, fields: list[tuple[bytes, bytes]], *, right: bool) -> bytes:
    ends, colons = (_CRLF, _COLONS) if right else (_ODD_ENDS, _ODD_COLONS)
    # One fault is enough: a head that is wrong mostly has a body that is right.
    framing, body = draw(_framed(right=right or draw(st.booleans())))
    parts = [start, draw(ends)]
    for name, value in draw(st.permutations([*fields, *framing])):
        parts += [name, draw(colons), value, draw(ends)]
    return b"".join([*parts, b"\r\n", body])


@st.composite
def request(draw) -> bytes:
    """One request."""
    right = draw(_RIGHT)
    methods, targets, versions = [_METHODS], [_TARGETS], [_VERSIONS]
    if not right:
        methods, targets = [_METHODS, _ODD_METHODS], [_TARGETS, _ODD_TARGETS]
        versions = [_VERSIONS, _ODD_VERSIONS]
    blank = b" " if right else draw(st.sampled_from([b" ", b"  ", b"\t"]))
    line = [draw(st.one_of(each)) for each in (methods, targets, versions)]
    fields = draw(st.lists(_FIELDS if right else st.one_of(_FIELDS, _ODD_FIELDS), max_size=5))
    start = blank.join(line)
    return draw(_message(start, [(b"Host", b"a"), *fields], right=right or draw(st.booleans())))


@st.composite
def requests(draw) -> bytes:
    """What one connection brings: requests after each other, and perhaps an end in the middle."""
    between = draw(st.sampled_from([b"", b"", b"", b"\r\n", b"\n", b"\r\n\r\n"]))
    data = between.join(draw(st.lists(request(), min_size=1, max_size=4)))
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 5 else data


_STATUS_LINES = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content"],
        *[b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 500 \xff", b"HTTP/1.1 200 "],
        *[b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 101 Switched"],
    ]
)
_ODD_STATUS_LINES = st.sampled_from(
    [
        *[
            b"HTTP/1.1 200",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/2 200",
            b"ICE/1.0 200 OK",
        ],
        *[b"HTTP/1.1 200 a\x00b", b"HTTP/1.1  200 OK", b"HTTP/1.1 099 Low", b"\r\nHTTP/1.1 200 OK"],
    ]
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
    ]
)


@st.composite
def _answer(draw) -> bytes:
    right = draw(_RIGHT)
    start = draw(_STATUS_LINES if right else st.one_of(_STATUS_LINES, _ODD_STATUS_LINES))
    fields = draw(st.lists(_ANSWER_FIELDS, max_size=4))
    return draw(_message(start, fields, right=right or draw(st.booleans())))


@st.composite
def answers(draw) -> bytes:
    """Who asks (one byte, see `response_stream`), and what the app sends."""
    data = b"".join(draw(st.lists(_answer(), min_size=1, max_size=3)))
    data = data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 5)) == 3 else data
    return bytes((draw(st.integers(0, 7)),)) + data
