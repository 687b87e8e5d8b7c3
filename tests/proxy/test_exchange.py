"""Requests cross the gateway once, as themselves, and nothing else does."""

import asyncio

import pytest

from tests.fakes import OK
from tests.proxy.conftest import World


def get(path="/", *lines: str, method="GET", version="1.1", connection="close") -> bytes:
    headers = "".join(f"{line}\r\n" for line in lines)
    return (
        f"{method} {path} HTTP/{version}\r\nHost: localhost\r\nConnection: {connection}\r\n"
        f"{headers}\r\n"
    ).encode("latin-1")


TE = b"Transfer-Encoding: chunked\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_public_request_reaches_the_app_and_its_answer_comes_back(world: World):
    answer = await world.send(get("/public/x?y=1", "X-Custom: kept"))

    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\nok")
    sent = world.upstream.bytes_received
    assert sent.startswith(b"GET /public/x?y=1 HTTP/1.1\r\nHost: localhost\r\n")
    assert b"\r\nX-Custom: kept\r\n" in sent
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in sent
    assert b"X-Forwarded-User" not in sent


async def test_a_signed_in_request_carries_identity_headers_and_no_cookie_of_ours(world: World):
    token = world.token("alice", groups=("admins",))
    cookie = f"Cookie: theme=dark; accessToken={token}; refreshToken=secret"

    answer = await world.send(get("/x", cookie, "X_Forwarded_User: mallory"))

    assert status(answer) == 200
    sent = world.upstream.bytes_received
    assert b"\r\nX-Forwarded-User: alice\r\n" in sent
    assert b"\r\nX-Forwarded-Groups: admins\r\n" in sent
    assert b"\r\nCookie: theme=dark\r\n" in sent
    assert b"mallory" not in sent
    assert token.encode() not in sent
    assert b"\r\nCache-Control: private" in answer
    assert [entry.token.session_id for entry in world.seen] == ["s1"]


async def test_a_program_without_credentials_gets_a_problem_and_the_app_hears_nothing(world: World):
    answer = await world.send(get("/x"))

    assert status(answer) == 401
    assert b"\r\nContent-Type: application/problem+json" in answer
    assert b"\r\nWWW-Authenticate: Bearer" in answer
    assert world.upstream.received == []


async def test_o6_a_navigation_without_credentials_is_sent_to_sign_in(world: World):
    answer = await world.send(get("/x?a=b&c", "Sec-Fetch-Mode: navigate"))

    assert status(answer) == 303
    assert b"\r\nLocation: /auth/login?rd=/x%3Fa%3Db%26c\r\n" in answer


async def test_a_request_body_passes_with_our_framing(world: World):
    body = get("/public/x", "Content-Length: 005", method="POST") + b"hello"

    answer = await world.send(body)

    assert status(answer) == 200
    await world.upstream.until(lambda: world.upstream.bytes_received.endswith(b"hello"))
    assert b"\r\nContent-Length: 5\r\n\r\nhello" in world.upstream.bytes_received


async def test_a_chunked_request_is_chunked_anew(world: World):
    head = get("/public/x", "Transfer-Encoding: chunked", method="POST")

    answer = await world.send(head + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")

    assert status(answer) == 200
    sent = world.upstream.bytes_received
    assert b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" in sent
    assert b"ext" not in sent
    assert b"Trailer" not in sent


async def test_h10_pipelined_requests_are_answered_in_order_one_at_a_time(world: World):
    numbers = iter(range(10))

    def answer_with_number(head: bytes) -> bytes:
        del head
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % next(numbers)

    world.upstream.answer = answer_with_number
    one = get("/public/1", connection="keep-alive")
    post = get("/public/2", "Content-Length: 4", method="POST", connection="keep-alive") + b"body"
    chunked = get("/public/3", "Transfer-Encoding: chunked", method="POST", connection="keep-alive")

    answer = await world.send(one + post + chunked + b"1\r\nx\r\n0\r\n\r\n" + get("/public/4"))

    assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"0", b"1", b"2", b"3"]


async def test_an_answer_of_unknown_length_is_chunked_for_1_1_and_closed_for_1_0(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\n\r\nstream"
    world.upstream.close_after_answer = True

    modern = await world.send(get("/public/x"))
    old = await world.send(get("/public/x", version="1.0"))

    assert modern.endswith(b"\r\n\r\n6\r\nstream\r\n0\r\n\r\n")
    assert old.endswith(b"\r\n\r\nstream")
    assert b"chunked" not in old


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_h3_a_truncated_answer_never_looks_whole(world: World, broken):
    world.upstream.answer = lambda _head: broken
    world.upstream.close_after_answer = True

    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(get("/public/x"))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"garbage\r\n\r\n",
        b"",
    ],
)
async def test_h3_a_malformed_answer_is_a_502(world: World, broken):
    world.upstream.answer = lambda _head: broken
    world.upstream.close_after_answer = True

    answer = await world.send(get("/public/x"))

    assert status(answer) == 502


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (b"TRACE /public/ HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST /public/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
        (
            b"POST /public/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            400,
        ),
        (
            b"POST /public/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n" + TE + b"0\r\n\r\n",
            400,
        ),
        (b"POST /public/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\n\r\n", 400),
        (b"POST /public/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n", 400),
        (b"POST /public/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /public/ HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 150 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET /public/ HTTP/1.1\r\nHost: a\r\nVia: 1.1 gw-test\r\n\r\n", 508),
        (b"\nGET /public/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n\nGET /public/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\r\n\r\r\nGET /public/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /public/  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS /public/ RTSP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"SOURCE /public/ ICE/1.0\r\nHost: a\r\n\r\n", 400),
    ],
)
async def test_h1_malformed_requests_are_refused_and_closed_and_never_reach_the_app(
    world: World, raw, expected
):
    answer = await world.send(raw)

    assert status(answer) == expected
    assert answer.count(b"\r\nConnection: close\r\n\r\n") == 1
    assert world.upstream.bytes_received == b""


async def test_h5_absolute_form_with_the_same_host_is_served(world: World):
    raw = b"GET http://localhost/public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    answer = await world.send(raw)

    assert status(answer) == 200
    assert world.upstream.bytes_received.startswith(b"GET /public/x HTTP/1.1\r\n")


async def test_h7_connection_named_headers_stay_and_ours_cannot_be_removed(world: World):
    token = world.token("alice")
    named = "close, X-Forwarded-User, X-Custom, Cookie, X-Forwarded-For"
    raw = (
        f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {named}\r\nX-Custom: gone\r\n"
        f"Cookie: accessToken={token}\r\n\r\n"
    ).encode()

    answer = await world.send(raw)

    assert status(answer) == 200
    sent = world.upstream.bytes_received
    assert b"gone" not in sent
    assert b"\r\nX-Forwarded-User: alice\r\n" in sent
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in sent


async def test_h9_continue_is_sent_only_to_those_who_may_pass(world: World):
    refused = await world.send(
        get("/x", "Content-Length: 5", "Expect: 100-continue", method="POST")
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(get("/public/x", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    final = await reader.read()
    writer.close()

    assert status(refused) == 401
    assert b"100 Continue" not in refused
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status(final) == 200


async def test_h9_whoever_did_not_wait_for_continue_is_not_told_to_go_on(world: World):
    """RFC 9110 §10.1.1: no interim answer where the body has come already."""
    asked = get("/public/x", "Content-Length: 5", "Expect: 100-continue", method="POST")
    await world.send(get("/public/first"))  # a connection to the app is there from now on

    answer = await world.send(asked + b"hello")

    assert status(answer) == 200
    assert world.upstream.bytes_received.endswith(b"\r\n\r\nhello")


async def test_h10_the_body_of_a_refused_request_is_never_the_next_request(world: World):
    smuggled = get("/public/smuggled")
    first = get("/x", f"Content-Length: {len(smuggled)}", method="POST", connection="keep-alive")

    answer = await world.send(first + smuggled + get("/public/real"))

    assert answer.count(b"HTTP/1.1 401") == 1
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"smuggled" not in world.upstream.bytes_received


async def test_h13_head_keeps_the_length_and_has_no_body(world: World):
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"

    answer = await world.send(
        get("/public/1", method="HEAD", connection="keep-alive") + get("/public/2", method="HEAD")
    )

    assert answer.count(b"\r\nContent-Length: 1234\r\n") == 2
    assert answer.endswith(b"\r\n\r\n")
    # What announces a body may be followed by one: nobody else's answer comes that way.
    assert len(world.upstream.received) == 2


async def test_h11_interim_answers_are_tolerated(world: World):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3
    world.upstream.answer = lambda _head: interim + b"HTTP/1.1 204 No Content\r\n\r\n"

    answer = await world.send(get("/public/x"))

    assert status(answer) == 204


async def test_h15_a_stale_connection_is_replaced_for_a_get_but_a_post_is_sent_once(world: World):
    async def answer_when_the_kept_connection_dies(request: bytes) -> bytes:
        world.upstream.close_after_answer = False
        await world.send(get("/public/warm-up"))

        def die_once(_head: bytes) -> bytes:
            world.upstream.answer = lambda _head: OK
            world.upstream.close_after_answer = True
            return b""

        world.upstream.answer = die_once
        return await world.send(request)

    again = await answer_when_the_kept_connection_dies(get("/public/get"))
    post = get("/public/post", "Content-Length: 1", method="POST") + b"x"
    once = await answer_when_the_kept_connection_dies(post)

    assert status(again) == 200
    assert world.upstream.bytes_received.count(b"GET /public/get ") == 2
    assert status(once) == 502
    assert world.upstream.bytes_received.count(b"POST /public/post ") == 1


@pytest.mark.usefixtures("often")
async def test_h20_a_client_that_goes_away_takes_its_request_with_it(world: World):
    world.upstream.answer = lambda _head: None
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(get("/public/x"))
    await world.upstream.until(lambda: world.upstream.open_connections == 1)

    writer.transport.abort()

    await world.upstream.until(lambda: world.upstream.open_connections == 0)


async def test_a_half_closed_client_gets_its_answer(world: World):
    answer = await world.send(get("/public/x", connection="keep-alive"), half_close=True)

    assert status(answer) == 200


async def test_an_unreachable_app_is_a_502(world: World):
    await world.upstream.stop()

    answer = await world.send(get("/public/x"))

    assert status(answer) == 502


@pytest.mark.parametrize("framing", ["Content-Length: 11", "Transfer-Encoding: chunked"])
async def test_h16_a_body_above_its_routes_limit_is_a_413(world: World, framing):
    body = b"x" * 11 if "Length" in framing else b"b\r\nxxxxxxxxxxx\r\n0\r\n\r\n"

    answer = await world.send(get("/small/x", framing, method="POST") + body)

    assert status(answer) == 413


async def test_a_prefix_is_stripped_and_told(world: World):
    await world.send(get("/stripped/a?b"))

    assert world.upstream.bytes_received.startswith(b"GET /a?b HTTP/1.1\r\n")
    assert b"\r\nX-Forwarded-Prefix: /stripped\r\n" in world.upstream.bytes_received


async def test_i6_the_app_cannot_set_our_cookies_but_its_own_stay_apart_and_whole(world: World):
    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1; Path=/\r\n"
        b"Set-Cookie: AccessToken=evil\r\nset-cookie:  b=2;;x \r\n\r\n"
    )

    answer = await world.send(get("/public/x"))

    assert b"\r\nSet-Cookie: a=1; Path=/\r\n" in answer
    assert b"\r\nSet-Cookie: b=2;;x \r\n" in answer
    assert b"evil" not in answer


BEFORE = {
    "malformed": b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX y: z\r\n\r\n",
    "closing": get("/public/a"),
    "with a body": get("/public/a", "Content-Length: 5", method="POST", connection="keep-alive"),
    "refused with a body": get("/public/../a", "Content-Length: 99", method="POST"),
    "chunked": get("/public/a", "Transfer-Encoding: chunked", method="POST"),
    "an upgrade": get("/public/a", "Upgrade: h2c", connection="Upgrade"),
    "connect": b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "of 1.0": b"GET /public/x HTTP/1.0\r\nX-Own: theirs\r\n\r\n",
    "not whole": get("/public/a", "X-Own: theirs")[:-2],
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
async def test_h19_no_request_leaves_anything_to_the_one_on_another_connection(
    world: World, before
):
    other = await world.connect()
    other.send(before)
    client = await world.connect()
    client.send(get("/public/first", connection="keep-alive"))
    await client.answer()

    client.send(get("/public/x", "X-Own: ours", connection="keep-alive"))

    assert status(await client.answer()) == 200
    head = world.upstream.heads[-1]
    assert head.startswith(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX-Own: ours\r\n")
    assert b"theirs" not in head


async def test_a_request_of_1_1_after_one_of_1_0_is_answered_as_1_1(world: World):
    familiar = get("/public/x", connection="keep-alive")
    await world.send(familiar + get("/public/y"))
    client = await world.connect()
    client.send(get("/public/x", version="1.0", connection="keep-alive"))
    assert b"\r\nConnection: keep-alive\r\n" in await client.answer()

    client.send(familiar)

    assert b"\r\nConnection:" not in await client.answer()
    assert world.observed.requests[-1].protocol == "1.1"
