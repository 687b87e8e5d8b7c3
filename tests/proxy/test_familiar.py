"""Headers seen before are compared, never assumed (SECURITY H19, I1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.familiar import FamiliarHeads, remember
from gateway.request import BadRequest, Request, parse_authority, parse_target

HEADERS = b"\r\nHost: localhost\r\nX-A: 1\r\nCookie: a=b\r\n\r\n"
LINES = [b"\r\nX-A: ", b"1"]


def known(headers: bytes = HEADERS, **noted: bytes):
    request = Request(
        "GET",
        "http",
        parse_authority("localhost"),
        parse_target("/first"),
        noted,
        b"a=b",
        "127.0.0.1",
    )
    return remember(b"GET /first HTTP/1.1" + headers, request, 0, LINES, "1.1")


def of_size(size: int, number: int = 0) -> bytes:
    begin = b"\r\nHost: localhost\r\nX-A: %d" % number
    return begin + b"x" * (size - len(begin) - 4) + b"\r\n\r\n"


def test_the_same_headers_with_another_target_are_the_same_request_but_for_that():
    familiar = known()

    request = familiar.recognize(b"GET /second?x HTTP/1.1" + HEADERS)

    assert request.target.raw == "/second?x"
    assert request.cookie == b"a=b"
    assert familiar.lines == [b"\r\nX-A: 1", b""]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /second HTTP/1.1" + HEADERS,
        b"GET /second HTTP/1.0" + HEADERS,
        b"GET  /second HTTP/1.1" + HEADERS,
        b"GET http://evil/ HTTP/1.1" + HEADERS,
        b"GET /second HTTP/1.1\r\nX-Evil: /y HTTP/1.1" + HEADERS,
        b"GET /second HTTP/1.1" + HEADERS.replace(b"1", b"2"),
        b"GET /second HTTP/1.1" + HEADERS[:-2] + b"X-B: 2\r\n\r\n",
        b"GET" + HEADERS,
        HEADERS,
    ],
)
def test_anything_else_is_read_anew(head):
    assert known().recognize(head) is None


def test_p1_a_target_is_checked_however_familiar_its_headers_are():
    with pytest.raises(BadRequest):
        known().recognize(b"GET /a/%2e%2e/b HTTP/1.1" + HEADERS)


@given(st.binary(max_size=60))
def test_no_first_line_makes_a_request_with_a_blank_or_line_end_in_its_target(line):
    try:
        request = known().recognize(line + HEADERS)
    except BadRequest:
        return

    if request is not None:
        assert line == b"GET " + request.target.raw.encode() + b" HTTP/1.1"
        assert not {" ", "\r", "\n"} & set(request.target.raw)


@pytest.mark.parametrize(
    "noted",
    [
        {"authorization": b"Bearer x"},
        {"upgrade": b"websocket"},
        {"x-request-id": b"1"},
        {"connection": b"close"},
        {"via": b"1.1 other"},
    ],
)
def test_special_requests_never_become_familiar(noted):
    assert known(**noted) is None


def test_heads_are_kept_by_peer_and_within_a_bound():
    heads = FamiliarHeads(bound=2)
    familiar = known()

    heads.keep("10.0.0.1", familiar)

    head = b"GET /second HTTP/1.1" + HEADERS
    assert heads.find(head, "10.0.0.1") is familiar
    assert heads.find(head, "10.0.0.2") is None
    for number in range(10):
        heads.keep(f"10.1.0.{number}", familiar)
    assert heads.find(head, "10.0.0.1") is None


def test_r5_large_header_blocks_leave_room_for_fewer():
    heads = FamiliarHeads(bound=64)

    for number in range(160):
        heads.keep("10.0.0.1", known(of_size(8192, number)))

    assert heads._recent.held() == 2 * 64 // 4
    assert heads.find(b"GET / HTTP/1.1" + of_size(8192, 159), "10.0.0.1") is not None


def test_r5_a_header_block_that_is_too_large_is_not_remembered():
    assert known(of_size(8193)) is None
