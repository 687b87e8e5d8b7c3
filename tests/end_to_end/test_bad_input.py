"""Whatever is thrown at the process: a clear status, nothing reaches the app, no traceback."""

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.client import ACCESS, FETCH, PREFIX, REFRESH, Client, exchange
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /p HTTP/1.1\r\n" + HOST
POST = b"POST /p HTTP/1.1\r\n" + HOST
LOGIN = f"POST {PREFIX}/login HTTP/1.1\r\n".encode() + HOST


@pytest.fixture(scope="module")
def public(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """Nothing here asks for sign-in, so that only the shape of a request can stop it."""
    routes = [
        {"path": "/in/*", "upstream": "app"},
        {"path": "/*", "upstream": "app", "access": "public", "limits": {"body": "64KiB"}},
    ]
    return starts_gateways(smallest(app, routes=routes, limits={"head": "8KiB"}))


@pytest.fixture(autouse=True)
def _unharmed(public: Running, app: EchoApp) -> Iterator[None]:
    """After every test: the app heard nothing, the log is clean, and the next is served."""
    before = len(app.arrivals)
    yield
    assert app.arrivals[before:] == []
    assert "Traceback" not in public.log
    assert '"level":"error"' not in public.log
    assert Client(public.port).get("/still-here").status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (b"GET http://other.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /a\\b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (GET + b"no colon\r\n\r\n", 400),
        (GET + b"Bad Name: x\r\n\r\n", 400),
        (GET + b"Name : x\r\n\r\n", 400),
        (GET + b"X: a\x00b\r\n\r\n", 400),
        (GET + b"X: a\r\n folded\r\n\r\n", 400),
        (GET + b"X: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (GET + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: y\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: +5\r\n\r\nhello", 400),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: \r\n\r\n", 400),
        (b"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (POST + b"Content-Length: 65537\r\n\r\n", 413),
        (POST + b"Expect: a-miracle\r\nContent-Length: 1\r\n\r\nx", 417),
        (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", 400),
    ],
)
def test_h1_malformed_http_is_refused_and_the_connection_closed(
    public: Running, raw: bytes, status: int
):
    answer = exchange(public.port, raw)
    assert answer.split(b" ", 2)[:2] == [b"HTTP/1.1", b"%d" % status], answer[:200]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status, "one answer, and nothing behind it"


def test_h16_a_head_without_an_end_is_cut_off_early(public: Running):
    assert exchange(public.port, GET + b"X: y\r\n" * 3000).startswith(b"HTTP/1.1 431 ")
    assert exchange(public.port, GET + b"X: y", half_close=True).startswith(b"HTTP/1.1 400 ")


def test_h10_what_follows_a_refused_request_is_not_taken_for_the_next(public: Running):
    smuggled = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    for first in (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: x\r\n\r\n",
        GET + b"X: a\x00b\r\n\r\n",
    ):
        assert exchange(public.port, first + smuggled).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "token",
    [
        *("", "x", "a.b.c", "....", "é", "%00", '"quoted"', "A" * 3500, "null", "[]"),
        # alg none, and a key of our own choosing
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2V0Yy9wYXNzd2QifQ.eyJzdWIiOiJhbGljZSJ9.AAAA",
        "eyJhbGciOiJFUzI1NiIsImp3ayI6e319.eyJzdWIiOiJhbGljZSJ9.AAAA",
        *("gr1", "gr1....", "gr1.a.b.1.c", "gr1.a.b.99999999999999999999.c", "gr2.a.b.1.c"),
    ],
)
def test_tokens_that_prove_nothing_are_a_401_wherever_they_come(public: Running, token: str):
    client = Client(public.port)
    places = (
        ("Cookie", f"{ACCESS}={token}"),
        ("Cookie", f"{REFRESH}={token}"),
        ("Cookie", f"{ACCESS}={token}; {REFRESH}={token}"),
        ("Authorization", f"Bearer {token}"),
    )
    for place in places:
        for method, path in (
            ("GET", "/in/page"),
            ("GET", f"{PREFIX}/session"),
            ("POST", f"{PREFIX}/refresh-token"),
            ("GET", f"{PREFIX}/verify"),
            ("GET", f"{PREFIX}/sessions"),
        ):
            answer = client.request(method, path, (*FETCH, place))
            assert answer.status == 401, (method, path, place, answer.body)
        assert client.request("POST", f"{PREFIX}/logout", (*FETCH, place)).status == 200


@pytest.mark.parametrize(
    "cookie",
    [
        *(";", ";;;;", "=", "==", "=;=", "a", " ", "\t", "a=b;;c=d;", "a=b, c=d"),
        f"{ACCESS}",
        f"{ACCESS}=a; {ACCESS}=b",
        f'{ACCESS}="a;b"',
        f"$Version=1; {ACCESS}=x",
        "a=" + "b" * 6000,
        "; ".join(f"c{n}=v" for n in range(700)),
    ],
)
def test_odd_cookie_headers_sign_nobody_in(public: Running, cookie: str):
    assert Client(public.port).get("/in/page", (*FETCH, ("Cookie", cookie))).status == 401


def test_a_valid_cookie_beside_a_second_of_its_name_proves_nothing(public: Running):
    client = Client(public.port).signed_in()
    cookie = f"{ACCESS}={client.access}; {ACCESS}=planted"
    assert Client(public.port).get("/in/page", (("Cookie", cookie),)).status == 401


def login(kind: bytes, body: bytes, extra: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    close = b"Connection: close\r\n"
    return LOGIN + b"Content-Type: " + kind + b"\r\n" + close + extra + length + b"\r\n" + body


JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (login(JSON, b""), 400),
        (login(JSON, b"{"), 400),
        (login(JSON, b"\xff\xfe"), 400),
        (login(JSON, b"[" * 30_000), 400),
        (login(JSON, b'{"username": ' + b"9" * 5000 + b"}"), 400),
        (login(JSON, b'{"username": "a", "username": "b", "password": "c"}'), 400),
        (login(JSON, b"[]"), 422),
        (login(JSON, b"null"), 422),
        (login(JSON, b"{}"), 422),
        (login(JSON, b'{"username": "alice"}'), 422),
        (login(JSON, b'{"username": {"a": 1}, "password": []}'), 422),
        (login(JSON, b'{"username": "a\\u0000", "password": "x"}'), 422),
        (login(JSON, b'{"username": "\\ud800", "password": "x"}'), 422),
        (login(JSON, b'{"username": "x", "password": "\\udfff"}'), 422),
        (login(JSON, b'{"username": "' + b"a" * 65_000 + b'", "password": "x"}'), 401),
        (login(JSON, b'{"username": "x", "password": "' + b"a" * 65_000 + b'"}'), 401),
        (login(JSON, b" " * 70_000), 413),
        (login(FORM, b"username=%ff&password=x", b"Accept: application/json\r\n"), 400),
        (login(FORM, b"&".join([b"a=b"] * 100), b"Accept: application/json\r\n"), 400),
        (login(FORM, b"username=a&username=b&password=c", b"Accept: application/json\r\n"), 400),
        (login(b"text/plain", b"username=alice"), 415),
        (login(b"multipart/form-data; boundary=x", b"--x--"), 415),
        (login(b"application/json; charset=utf-16", b"{}"), 415),
        (login(JSON, b"\x1f\x8b\x08", b"Content-Encoding: gzip\r\n"), 415),
        (login(b"", b"{}"), 415),
    ],
)
def test_unfit_bodies_at_sign_in_are_refused_by_name(public: Running, raw: bytes, status: int):
    answer = exchange(public.port, raw)
    assert answer.split(b" ", 2)[1] == b"%d" % status, answer[:400]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Set-Cookie" not in head
    assert json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no-such-thing", 404),
        ("GET", "/%2e%2e/%2e%2e/in", 400),
        ("PUT", "/login", 405),
        ("GET", "/refresh-token", 405),
        ("DELETE", "/sessions/%00", 400),
        ("GET", "/static/..%2f..%2fpages.py", 400),
        ("GET", "/static/nothing.css", 404),
        ("GET", "/login?rd=" + "a" * 5000, 200),
        ("GET", "/login?rd=%ff%00", 200),
    ],
)
def test_odd_addresses_of_our_own_get_a_clear_answer(public: Running, method, path, status):
    answer = Client(public.port).request(method, PREFIX + path)
    assert answer.status == status
    if status >= 400:
        assert answer.header("Content-Type") == "application/problem+json"


def test_o13_what_people_type_never_becomes_markup(public: Running):
    script = '"><script>alert(1)</script>'
    html = (("Accept", "text/html"),)
    client = Client(public.port)
    for answer in (
        client.request("GET", f"{PREFIX}/login?rd=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", html),
        client.post(f"{PREFIX}/login", html, form={"username": script, "password": "x"}),
    ):
        assert b"<script>alert" not in answer.body
        assert "script-src 'self'" in (answer.header("Content-Security-Policy") or "")


def test_r10_control_characters_stay_out_of_the_log(public: Running):
    client = Client(public.port)
    agent = (("User-Agent", "evil\x9b31m\tagent"), ("Content-Type", "application/json"))
    body = json.dumps({"username": "a\r\n\x1b[2Jfaked line", "password": "hunter2hunter2"})
    assert client.request("POST", f"{PREFIX}/login", agent, body=body.encode()).status == 401
    assert "\x1b" not in public.log
    assert "\x9b" not in public.log
    assert "hunter2" not in public.log
    assert all(line.startswith("{") for line in public.lines), "every line is one JSON object"
