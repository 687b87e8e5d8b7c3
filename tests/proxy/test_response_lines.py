"""Response heads are read line by line from memory; the parser must never disagree."""

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.headers.fields import ResponseFields
from gateway.proxy.heads import BadResponse, ResponseHead
from gateway.proxy.response_lines import ResponseLines

_PIECES = st.sampled_from(
    [
        *(b"Server", b"Set-Cookie", b"Content-Length", b"content-length", b"Transfer-Encoding"),
        *(b"Connection", b"Date", b"X_A", b"Upgrade", b": ", b":", b" ", b"\t", b"\r", b"\n"),
        *(b"\r\n", b"\r\n", b"chunked", b"close", b"5", b"a=b", b"\xe9", b"\x00", b"\x7f", b"("),
    ]
)
_STATUS_LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 204 ", b"HTTP/1.1 200"),
        *(
            b"HTTP/2.0 200 OK",
            b"HTTP/1.1 99 x",
            b"HTTP/1.1 2000 x",
            b"HTTP/1.1  200 OK",
            b"ICY 200",
        ),
        *(b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 200 O\rK", b"http/1.1 200 OK"),
    ]
)


def _both(head: bytes) -> tuple[object, object]:
    """What the lines from memory say of *head*, and what the parser says."""
    return _told(head, ResponseHead._is_usual), _told(head, ResponseHead._parse)


def _told(head: bytes, read: object) -> object:
    one = ResponseHead(ResponseLines(ResponseFields()))
    try:
        if read(one, head) is False:  # type: ignore[operator]  # one of two methods
            return None
    except BadResponse:
        return "refused"
    noted = {name: value.strip(b" \t") for name, value in one.noted.items()}
    values = [value.strip(b" \t") for value in (*one.lines, *one.set_cookies)]
    return one.status, one.reason.strip(b" \t"), one.keep_alive, noted, values


@given(_STATUS_LINES, st.lists(_PIECES, max_size=14).map(b"".join))
@example(b"HTTP/1.1 200 OK", b"\r\nContent-Length: 5\r\nContent-Length: 6")
@example(b"HTTP/1.1 200 OK", b"\r\nContent-Length : 5")
@example(b"HTTP/1.1 200 OK", b"\r\nServer: a\r\n b: c")
def test_a_head_understood_line_by_line_is_one_that_the_parser_understands_alike(
    status_line: bytes, rest: bytes
) -> None:
    head = (status_line + rest).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    from_lines, parsed = _both(head)
    assert from_lines is None or from_lines == parsed


def test_an_ordinary_head_needs_no_parser_the_first_time_nor_the_second() -> None:
    lines = ResponseLines(ResponseFields())
    for served in ("first", "second"):
        head = ResponseHead(lines)
        raw = (
            b"HTTP/1.1 200 OK\r\nServer: nginx\r\nX-Served: %b\r\nContent-Length: 3\r\n"
            b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nConnection: close\r\n\r\n" % served.encode()
        )
        assert head._is_usual(raw)
        assert head.lines == [b"\r\nServer: ", b"nginx", b"\r\nX-Served: ", served.encode()]
        assert head.set_cookies == [b"a=b", b"c=d"]
        assert head.noted == {"content-length": b"3", "connection": b"close"}
        assert not head.keep_alive


def test_cookies_and_long_lines_are_read_but_not_remembered() -> None:
    lines = ResponseLines(ResponseFields())
    assert lines.field_line(b"Set-Cookie: session=secret") is not None
    assert lines.field_line(b"X-Long: " + b"x" * 1000) is not None
    assert lines.status_line(b"HTTP/1.1 200 " + b"x" * 1000) is not None
    assert lines.field_lines.held() == 0
    assert lines.status_lines.held() == 0


def test_lines_that_never_come_again_take_bounded_room() -> None:
    lines = ResponseLines(ResponseFields())
    for number in range(10_000):
        assert lines.field_line(b"ETag: %d" % number) is not None
    assert lines.field_lines.held() <= 2 * 1024
