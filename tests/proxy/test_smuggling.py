"""No two programs measure the same request differently (SECURITY H1, H2, H4, H5, H6, H10).

Each shape is refused, closed and never seen by the app, or arrives once with our own framing.
"""

import re

import pytest

from gateway.headers.fields import folded
from gateway.policy.access import Access
from gateway.policy.routes import Route
from tests.proxy.conftest import World
from tests.proxy.test_exchange import get, status

HOST = b"Host: localhost\r\n"
NAME, VALUE = b"Transfer-Encoding", b"chunked"
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


def shapes() -> list[bytes]:
    """Headers that one reader or another may take for `Transfer-Encoding: chunked`."""
    every = [bytes((octet,)) for octet in range(256)]
    made = [NAME + b": " + VALUE]
    for octet in every:
        made += [
            octet + NAME + b": " + VALUE,
            NAME + octet + b": " + VALUE,
            NAME.replace(b"-", octet) + b": " + VALUE,
            NAME + b":" + octet + VALUE,
            NAME + b": " + VALUE + octet,
            NAME + b": chun" + octet + b"ked",
            b"X: y" + octet + NAME + b": " + VALUE,
        ]
    # What may stand between two fields, or two codings.
    between = (b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\n ", b"\r ", b"\x0b", b"\x0c", b"\x85", b",")
    made += [b"X: y" + gap + NAME + b": " + VALUE for gap in between]
    made += [NAME + b":" + gap + VALUE for gap in between]
    made += [NAME + gap + b": " + VALUE for gap in between]
    codings = (
        *(b"chunked, identity", b"identity, chunked", b"identity", b"gzip, chunked", b"cow"),
        *(b"chunked, chunked", b"xchunked", b"chunkedx", b'"chunked"', b"'chunked'", b"CHUNKED"),
        *(b"chunked;q=1", b"chunked; a=b", b",chunked", b"chunked,", b" , chunked", b"x chunked"),
        *(b"", b" ", b"\t", b"chunked\tx", b"chun\tked", b"\x00chunked", b"chunked\x00, identity"),
        *(b"c\xc4\xa5unked", b"chunKed", b"\xefchunked", b"nothing, chunked", b"deflate"),
    )
    twice = [NAME + b": " + coding + b"\r\n" + NAME + b": " + VALUE for coding in codings]
    twice += [NAME + b": " + VALUE + b"\r\n" + NAME + b": " + coding for coding in codings]
    made += twice + [NAME + b": " + coding for coding in codings]
    names = (
        *(b"transfer-encoding", b"TRANSFER-ENCODING", b"Transfer_Encoding", b"TRANSFER_ENCODING"),
        *(b"Transfer.Encoding", b"TransferEncoding", b"Transfer--Encoding", b"Transfer-%45ncoding"),
        *(b"HTTP_TRANSFER_ENCODING", b"X-Transfer-Encoding", b"Content-Encoding", b"TE"),
        *(b"Tr\xc3\xa4nsfer-Encoding", b"\xef\xbb\xbfTransfer-Encoding", b"Transfer\xadEncoding"),
    )
    made += [name + b": " + VALUE for name in names]
    made += [b"Connection: Content-Length\r\n" + NAME + b": " + VALUE]
    return list(dict.fromkeys(made))


CHUNKED_THEN = b"0\r\n\r\n" + SMUGGLED
LAYOUTS = {
    # Who believes the length takes all for the body; who believes the coding finds two requests.
    "CL.TE": (b"%d" % len(CHUNKED_THEN), CHUNKED_THEN),
    # Who believes the coding takes all for the body; who believes the length finds two requests.
    "TE.CL": (b"4", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["length first", "length last"])
async def test_h1_h2_no_shape_of_transfer_encoding_smuggles_a_request(
    world: World, layout: str, order: str
):
    length, body = LAYOUTS[layout]
    framing = b"Content-Length: " + length
    refused = harmless = 0
    for shape in shapes():
        fields = (framing, shape) if order == "length first" else (shape, framing)
        raw = b"\r\n".join(
            [b"POST /public/x HTTP/1.1", HOST + b"Connection: close", *fields, b"", body]
        )
        before = len(world.upstream.bytes_received)

        answer = await world.send(raw)

        arrived = world.upstream.bytes_received[before:]
        if status(answer) == 200:
            harmless += 1
            assert_one_request_of_ours(arrived, body[: int(length)], shape)
        else:
            refused += 1
            assert status(answer) in (400, 431), shape
            assert answer.count(b"HTTP/1.1 ") == 1, shape
            assert b"\r\nConnection: close\r\n" in answer, shape
            assert arrived == b"", shape
    # All of them over one connection, on which a byte too many would be the next request's.
    assert len(world.upstream.received) == 1
    assert len(world.upstream.heads) == harmless
    assert refused > 1400
    assert harmless > 100


def assert_one_request_of_ours(arrived: bytes, body: bytes, shape: bytes) -> None:
    """To the laxest reader there is one request, framed by its length and by nothing else."""
    head, _, rest = arrived.partition(b"\r\n\r\n")
    names = [folded(line.partition(b":")[0].strip()) for line in re.split(rb"[\r\n]+", head)[1:]]
    assert names.count(b"content-length") == 1, shape
    assert b"transfer-encoding" not in names, shape
    assert b"\r\nContent-Length: %d" % len(body) in head, shape
    assert rest == body, shape


@pytest.mark.parametrize(
    "framing",
    [
        *(b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5\r\nContent-Length: 5"),
        *(b"Content-Length: 5, 5", b"Content-Length: 5, 6", b"Content-Length: +5"),
        *(
            b"Content-Length: -5",
            b"Content-Length: 5 5",
            b"Content-Length: 0x5",
            b"Content-Length:",
        ),
        *(b"Content-Length: 5.0", b"Content-Length: 5e0", b"Content-Length: \xd9\xa5"),
        *(b"Content-Length: 5\x0b", b"Content-Length: \x0c5", b"Content-Length : 5"),
        *(
            b"Content-Length: 5\r\n ",
            b"Content-Length: 18446744073709551621",
            b"Content-Length: 5;",
        ),
        *(b'Content-Length: "5"', b"Content-Length: 5\x00", b"Content-Length\x00: 5"),
    ],
)
async def test_h1_a_length_with_two_meanings_is_refused(world: World, framing: bytes):
    raw = b"POST /public/x HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\nhello" + SMUGGLED

    answer = await world.send(raw)

    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert world.upstream.bytes_received == b""


@pytest.mark.parametrize(
    ("framing", "body", "sent"),
    [
        (b"Content-Length: 005", b"hello", b"\r\nContent-Length: 5\r\n\r\nhello"),
        (b"Content-Length:5", b"hello", b"\r\nContent-Length: 5\r\n\r\nhello"),
        (b"content-length: \t5 ", b"hello", b"\r\nContent-Length: 5\r\n\r\nhello"),
        (b"Content-Length: 0", b"", b"\r\nContent-Length: 0\r\n\r\n"),
        (
            b"transfer-encoding:CHUNKED",
            b"005;a=b\r\nhello\r\n00\r\nA: b\r\n\r\n",
            b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            b"Content_Length: 9\r\nContent-Length: 5",
            b"hello",
            b"\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (
            b"Content.Length: 9\r\nContent-Length: 5",
            b"hello",
            b"\r\nContent-Length: 5\r\n\r\nhello",
        ),
    ],
)
async def test_h2_the_framing_that_the_app_gets_is_ours(world: World, framing, body, sent):
    raw = b"POST /public/x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"

    answer = await world.send(raw + framing + b"\r\n\r\n" + body)

    assert status(answer) == 200
    await world.upstream.until(lambda: world.upstream.bytes_received.endswith(sent))
    head = world.upstream.bytes_received.partition(b"\r\n\r\n")[0].lower()
    assert len(re.findall(rb"\r\n(?:content.length|transfer.encoding)", head)) == 1


@pytest.mark.parametrize(
    "line",
    [
        *("Host:", "Host: ", "Host: a b", "Host: a,b", "Host: a, b", "Host: user@localhost"),
        *("Host: user:pass@localhost", "Host: localhost/path", "Host: localhost?q", "Host: #"),
        *("Host: localhost:port", "Host: localhost:-1", "Host: localhost:99999", "Host: [::1"),
        *("Host: ::1", "Host: [:::]", "Host: local\\host", "Host: lo%63alhost", "Host: h\xf6st"),
        *("Host: localhost:80:80", "Host: .", "Host: ..", "Host: -", "Host : localhost"),
        *("Host: localhost\r\nHost: localhost", "Host: localhost\r\nhost: other", "X: y"),
        *(" Host: localhost", "Host: localhost\r\n other", "Host: local\x00host", "H\x00ost: a"),
        *("Host: localhost\nHost: other", "Host: http://localhost", "Host: localhost;", "Host: *"),
        # More digits than Python makes a number of.
        "Host: localhost:" + "1" * 5000,
    ],
)
async def test_h4_exactly_one_valid_host_or_a_400(world: World, line: str):
    raw = f"GET /public/x HTTP/1.1\r\n{line}\r\n\r\n".encode("latin-1")

    answer = await world.send(raw)

    assert status(answer) == 400
    assert b"\r\nConnection: close\r\n" in answer
    assert world.upstream.bytes_received == b""


@pytest.mark.parametrize("host", ["a.example", "A.Example", "a.example.", "a.example:8080"])
async def test_h4_p6_hosts_are_told_apart_without_case_port_or_trailing_dot(world: World, host):
    world.route(Route("/*", "app", Access.PUBLIC, host="a.example"))

    for named, expected in ((host, 200), (f"x{host}", 404), (f"{host.split(':')[0]}b", 404)):
        raw = f"GET / HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n".encode()
        assert status(await world.send(raw)) == expected, named

    assert len(world.upstream.heads) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("CONNECT localhost:80 HTTP/1.1", 405),
        ("CONNECT /public/x HTTP/1.1", 405),
        ("TRACE /public/x HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET * HTTP/1.1", 404),
        ("PRI * HTTP/2.0", 400),
        ("GET /public/x HTTP/2.0", 505),
        *((f"GET /public/x HTTP/{version}", 400) for version in ("1.2", "0.9", "1.10", "01.1", "")),
        *((f"GET /public/x {version}", 400) for version in ("http/1.1", "HTTPS/1.1", "HTTP/1,1")),
        ("GET /public/x", 400),
        ("GET  /public/x HTTP/1.1", 400),
        ("GET /public/x  HTTP/1.1", 400),
        ("GET\t/public/x HTTP/1.1", 400),
        ("GET /public/x\tHTTP/1.1", 400),
        (" GET /public/x HTTP/1.1", 400),
        ("G\x00T /public/x HTTP/1.1", 400),
        ("get /public/x HTTP/1.1", 400),
        ("GPOST /public/x HTTP/1.1", 400),
        ("GET http://other/public/x HTTP/1.1", 400),
        ("GET http://localhost:81/public/x HTTP/1.1", 400),
        ("GET http://u@localhost/public/x HTTP/1.1", 400),
        ("GET //localhost/public/x HTTP/1.1", 400),  # two readings, two routes (P1)
        ("GET ftp://localhost/public/x HTTP/1.1", 400),
        ("GET localhost/public/x HTTP/1.1", 400),
        ("GET ?x HTTP/1.1", 400),
        *(
            (f"GET /public/{byte} HTTP/1.1", 400)
            for byte in ("#x", "\\x", "a b", "\x01", "\x7f", "\x80", "\xff", "%", "%0", "%zz")
        ),
        *((f"GET /public/%{octet} HTTP/1.1", 400) for octet in ("00", "0a", "0D", "7f", "5c")),
    ],
)
async def test_h5_h6_what_is_no_plain_request_line_goes_no_further(world: World, line, expected):
    answer = await world.send(f"{line}\r\nHost: localhost\r\n\r\n".encode("latin-1"))

    assert status(answer) == expected
    assert answer.count(b"\r\nConnection: close\r\n") == 1
    assert world.upstream.bytes_received == b""


@pytest.mark.parametrize("method", ["FOO", "VERSION-CONTROL", "get"])
async def test_h5_a_method_that_is_not_known_is_what_the_answer_speaks_of(
    world: World, method: str
):
    answer = await world.send(f"{method} /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert status(answer) == 400
    assert b"method" in answer
    assert b"well-formed" not in answer
    assert world.upstream.bytes_received == b""


@pytest.mark.parametrize("reason", ["401", "403", "413", "417"])
@pytest.mark.parametrize("framing", ["short", "long", "chunked", "expecting"])
async def test_h10_no_body_of_a_refused_request_is_taken_for_the_next(
    world: World, reason: str, framing: str
):
    """Drained or closed, as it may be: only a request that follows the body may be answered."""
    path = {"413": "/small/x"}.get(reason, "/x")
    lines = []
    if reason == "403":
        lines = [f"Cookie: accessToken={world.token()}", "Origin: https://evil.example"]
    if reason == "417":
        lines = ["Expect: a miracle"]
    padding = b"X: " + b"y" * 20 + b"\r\n"
    body = SMUGGLED.replace(b"\r\n\r\n", b"\r\n" + padding * (4000 if framing == "long" else 1))
    body += b"\r\n"
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        lines.append(f"Content-Length: {len(body)}")
    if framing == "expecting" and reason != "417":
        lines.append("Expect: 100-continue")
    first = get(path, *lines, method="POST", connection="keep-alive")

    answer = await world.send(first + body + get("/public/next"))

    statuses = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert statuses in ([int(reason)], [int(reason), 200])
    assert b"smuggled" not in world.upstream.bytes_received
    assert len(world.upstream.heads) == len(statuses) - 1
    closed = b"\r\nConnection: close\r\n" in answer.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert closed is (len(statuses) == 1)


async def test_h10_a_navigation_with_a_body_is_sent_to_sign_in_and_its_body_is_dropped(
    world: World,
):
    navigating = ("Sec-Fetch-Mode: navigate", f"Content-Length: {len(SMUGGLED)}")
    first = get("/x", *navigating, connection="keep-alive")

    answer = await world.send(first + SMUGGLED + get("/public/next"))

    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"303", b"200"]
    assert b"smuggled" not in world.upstream.bytes_received
