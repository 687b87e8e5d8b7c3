"""What crosses the gateway and what does not, both ways (H7, H8, H12, H14, H17 to H19, I5, P3)."""

import gzip
import re

import pytest

from gateway.headers.fields import folded
from gateway.policy.access import Access
from gateway.policy.routes import Route
from tests.proxy.conftest import LOOPBACK, World
from tests.proxy.test_exchange import get, status


def fields(head: bytes, name: str) -> list[bytes]:
    """The values of every field that the laxest server would call *name*."""
    lines = [line.partition(b":") for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    return [value.strip() for key, _, value in lines if folded(key) == name.lower().encode()]


# What the client says of itself is replaced as a set: none of these passes by omission.
FORWARDING = {
    "Forwarded": (),
    "X-Forwarded-For": (b"127.0.0.1",),
    "X-Forwarded-Proto": (b"http",),
    "X-Forwarded-Host": (b"localhost",),
    "X-Forwarded-Port": (b"80",),
    "X-Real-IP": (b"127.0.0.1",),
    **dict.fromkeys(("X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme"), ()),
    **dict.fromkeys(("X-Forwarded-Ssl", "X-Forwarded-Method", "X-Forwarded-Uri"), ()),
    **dict.fromkeys(("X-Original-Url", "X-Original-Uri", "X-Original-Method"), ()),
    **dict.fromkeys(("X-Original-Host", "X-Rewrite-Url", "X-Client-Ip", "True-Client-Ip"), ()),
    **dict.fromkeys(("X-Cluster-Client-Ip", "X-Scheme", "X-Url-Scheme", "Front-End-Https"), ()),
    **dict.fromkeys(("X-Forwarded-By", "Proxy"), ()),
}


@pytest.mark.parametrize("name", FORWARDING)
async def test_i4_i5_what_a_stranger_says_of_its_way_is_replaced(world: World, name: str):
    spellings = (name, name.upper(), name.replace("-", "_"), name.replace("-", "."))
    forged = [f"{spelling}: 6.6.6.6, evil" for spelling in spellings]

    assert status(await world.send(get("/public/x", *forged))) == 200

    assert tuple(fields(world.upstream.heads[0], name)) == FORWARDING[name]
    assert b"evil" not in world.upstream.bytes_received


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ("203.0.113.9:5555", b"203.0.113.9"),
        ("[2001:db8::9]:5555", b"2001:db8::9"),
        ("2001:db8::9", b"2001:db8::9"),
        ("198.51.100.1:1, 203.0.113.9:5555, 127.0.0.1:80", b"203.0.113.9"),
        ("fe80::9%eth0", b"fe80::9"),
        ("[fe80::9%eth0]:5555", b"fe80::9"),
        ("fe80::7%<b>, 127.0.0.1", b"fe80::7"),
    ],
)
async def test_a_trusted_proxy_may_write_the_clients_port_or_zone_too(
    world: World, written: str, client: bytes
):
    world.change(trusted_proxies=LOOPBACK)

    assert status(await world.send(get("/public/x", f"X-Forwarded-For: {written}"))) == 200

    assert fields(world.upstream.heads[0], "X-Real-IP") == [client]


@pytest.mark.parametrize(
    "written", ["203.0.113.9:", "203.0.113.9:x", "203.0.113.9:5:5", "a:5", "[::1", "[::1%0", "%0"]
)
async def test_i4_what_is_no_address_with_a_port_or_zone_is_refused(world: World, written: str):
    world.change(trusted_proxies=LOOPBACK)

    assert status(await world.send(get("/public/x", f"X-Forwarded-For: {written}"))) == 400

    assert world.upstream.received == []


@pytest.mark.parametrize("word", ["X-Forwarded-For", "Via", "Host", "Cookie", "X-Request-Id"])
async def test_h7_connection_takes_away_nothing_that_the_gateway_says(world: World, word: str):
    token = world.token("alice")
    lines = (f"Cookie: a=b; accessToken={token}", f"connection: {word.upper()}, x-mine, {word}")
    raw = get("/x", *lines, "X-Mine: gone", "Keep-Alive: 5", "TE: trailers", "Trailer: X-Mine")

    assert status(await world.send(raw)) == 200

    head = world.upstream.heads[0]
    assert fields(head, word) != []
    assert fields(head, "X-Forwarded-User") == [b"alice"]
    for gone in ("X-Mine", "Keep-Alive", "TE", "Trailer", "Connection"):
        assert fields(head, gone) == [], gone


@pytest.mark.parametrize(
    "user", ["a\r\nX-Admin: 1", "a\nX-Admin: 1", "a\rb", "a\x00b", "Zoë", "\x85"]
)
async def test_h8_i7_no_name_of_a_person_ends_its_line(world: World, user: str):
    cookie = f"Cookie: accessToken={world.token(user, groups=(user,))}"

    assert status(await world.send(get("/x", cookie))) == 200

    head = world.upstream.heads[0]
    assert fields(head, "X-Admin") == []
    (told,) = fields(head, "X-Forwarded-User")
    assert re.fullmatch(rb"[\x20-\x7e]*", told)
    assert len(re.findall(rb"[\r\n]", head)) == 2 * head.count(b"\r\n")


async def test_h12_trailers_are_nobodys_headers(world: World):
    forged = ("Host: evil", "Authorization: evil", "Content-Length: 5", "Cookie: evil")
    forged += ("X-Forwarded-User: evil", "X_Forwarded_User: evil", "Transfer-Encoding: gzip")
    trailers = "".join(f"{line}\r\n" for line in forged).encode()
    raw = get("/public/x", "Transfer-Encoding: chunked", "Trailer: Host", method="POST")
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n"
        b"2\r\nok\r\n0\r\nSet-Cookie: accessToken=evil\r\nContent-Length: 9\r\n\r\n"
    )

    answer = await world.send(raw + b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n")

    assert answer.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert world.upstream.bytes_received.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    for text in (answer, world.upstream.bytes_received):
        assert b"evil" not in text
        assert b"Trailer" not in text


async def test_h14_a_gateway_that_is_its_own_app_says_so_instead_of_going_round(world: World):
    world.upstream.port, own = world.port, world.upstream.port

    answer = await world.send(get("/public/x"))

    world.upstream.port = own
    assert status(answer) == 508
    assert len(world.observed.requests) == 2


async def test_h14_the_proxies_on_the_way_are_told_to_the_next(world: World):
    assert status(await world.send(get("/public/x", "Via: 1.0 fred, 1.1 other"))) == 200

    assert fields(world.upstream.heads[0], "Via") == [b"1.0 fred, 1.1 other", b"1.1 gw-test"]


async def test_h14_via_names_the_version_that_each_request_was_received_in(world: World):
    client = await world.connect()
    for version in ("1.0", "1.1", "1.0"):
        client.send(
            f"GET /public/x HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".encode()
        )
        await client.answer()

    told = [fields(head, "Via") for head in world.upstream.heads]
    assert told == [[b"1.0 gw-test"], [b"1.1 gw-test"], [b"1.0 gw-test"]]


@pytest.mark.parametrize("first", ["200 OK", "206 Partial Content", "416 Range Not Satisfiable"])
async def test_h17_encoded_bodies_ranges_and_validators_pass_untouched(world: World, first: str):
    body = gzip.compress(b"x" * 10_000_000, mtime=0)  # a bomb to whoever would unpack it
    kept = [
        b"Content-Encoding: gzip",
        b'ETag: W/"x"',
        b"Accept-Ranges: bytes",
        b"Content-Range: bytes 0-9/20",
        b"Vary: Accept-Encoding",
    ]
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 %b\r\n%b\r\nContent-Length: %d\r\n\r\n"
        % (first.encode(), b"\r\n".join(kept), len(body))
        + body
    )
    asked = ("Range: bytes=0-9", 'If-Range: W/"x"', 'If-None-Match: "y"', "Accept-Encoding: br")

    answer = await world.send(get("/public/x", *asked))

    head, _, came = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + first.encode())
    assert came == body
    assert all(line in head.split(b"\r\n") for line in kept)
    assert all(line.encode() in world.upstream.heads[0].split(b"\r\n") for line in asked)


async def test_h17_no_encoding_is_asked_for_that_the_client_did_not_ask_for(world: World):
    await world.send(get("/public/x"))

    assert fields(world.upstream.heads[0], "Accept-Encoding") == []


async def test_h18_cookies_of_the_app_stay_apart_in_order_and_byte_for_byte(world: World):
    cookies = [
        b"a=1; Path=/, b",
        b'b="x; y"; Expires=Wed, 01 Jan 2031 00:00:00 GMT',
        b"a=2;;",
        b"=c",
    ]
    cookies += [b"d=\xe9\xff; SameSite=none", b"  e = f ; HttpOnly;httponly"]
    block = b"".join(b"Set-Cookie:%b\r\n" % cookie for cookie in cookies)
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % block

    answer = await world.send(get("/public/x"))

    assert fields(answer, "Set-Cookie") == [cookie.strip() for cookie in cookies]


async def test_h19_a_redirect_of_the_app_is_the_clients_to_follow(world: World):
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 302 Found\r\nLocation: /public/y\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    )

    answers = [await world.send(get("/public/x")) for _ in range(2)]

    assert [status(answer) for answer in answers] == [302, 302]
    assert [head.split(b" ")[1] for head in world.upstream.heads] == [b"/public/x"] * 2
    assert fields(world.upstream.heads[1], "Cookie") == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            "User-Agent: kube-probe/1.30",
            "User-Agent: GoogleHC/1.0",
            "User-Agent: ELB-HealthChecker",
        ),
        *("X-Health-Check: 1", "X-Forwarded-Uri: /public/x", "X-Original-URL: /public/x"),
        *("X-Rewrite-URL: /public/x", "X-HTTP-Method-Override: OPTIONS", "X-Method-Override: GET"),
    ],
)
async def test_p3_p4_no_header_opens_what_its_route_keeps(world: World, line: str):
    world.route(
        Route("/public/*", "app", Access.PUBLIC),
        Route("/docs", "app", Access.PUBLIC, methods=frozenset({"GET", "OPTIONS"})),
        Route("/*", "app"),
    )

    for request in (get("/health", line), get("/docs", line, method="POST"), get("/verify", line)):
        assert status(await world.send(request)) == 401

    assert world.upstream.received == []
