"""A request with a body whose headers were seen before is what reading it anew would make of it."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.headers.fields import RequestFields
from gateway.headers.identity import IdentityHeaders
from gateway.policy.routes import Route
from gateway.proxy.familiar import FamiliarHeads, remember
from gateway.proxy.heads import RequestHead
from gateway.proxy.incoming import understand
from gateway.request import BadRequest
from gateway.sessions.revocation import Revocation
from tests.proxy.conftest import World, until

PEER = "192.0.2.7"
PLANE = SimpleNamespace(via=b"gw", scheme="http", trusted_proxies=(), new_request_id=lambda: "r1")
HEADS = [
    b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\nCookie: a=b\r\n\r\n",
    b"PUT /a HTTP/1.1\r\ncontent-length: 0\r\nHost: localhost\r\nOrigin: http://x\r\n\r\n",
    b"PATCH /a HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nContent-Length: 7\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nCookie: a=b\r\n\r\n",
]
PIECES = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"0", b"7", b"-", b"+", b"x"),
    *(b"Content-Length: 3\r\n", b"content-length: 3\r\n", b"Content-Length:3\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b" folded\r\n", b"Expect: 100-continue\r\n"),
    *(b"\r\nContent-Length: 3", b"Host: evil\r\n", b" HTTP/1.1", b"/../", b"http://evil/"),
    *(b"GET ", b"POST ", b"X_A: 1\r\n", b"X-Forwarded-User: root\r\n", b"Connection: close\r\n"),
]


def read(head: bytes):
    """What reading *head* anew makes of it."""
    reader = RequestHead(RequestFields(IdentityHeaders().names()), 100)
    reader.read(head)
    return understand(reader, PLANE, PEER), reader


def learned(*heads: bytes) -> FamiliarHeads:
    known = FamiliarHeads()
    for head in heads:
        incoming, reader = read(head)
        familiar = remember(head, incoming.request, incoming.framing, reader.lines, reader.version)
        if familiar is not None:
            known.keep(PEER, familiar)
    return known


def recognized(known: FamiliarHeads, head: bytes):
    if not head.startswith(b"GET "):
        return known.with_body(head, PEER)
    familiar = known.find(head, PEER)
    request = familiar and familiar.recognize(head)
    return request and (request, 0, familiar)


def facts(request) -> tuple:
    return (
        *(request.method, request.scheme, request.authority, request.target, dict(request.noted)),
        *(request.cookie, request.client, request.upgrade),
    )


@st.composite
def changed_heads(draw) -> bytes:
    """One of the known heads with a few pieces put in, taken out or exchanged."""
    head = draw(st.sampled_from(HEADS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head) - 4))
        until = draw(st.sampled_from([at, at, at + 1, head.find(b"\r\n", at)]))
        head = head[:at] + draw(st.sampled_from(PIECES)) + head[max(at, until) :]
    return head


@pytest.mark.parametrize("head", HEADS)
def test_the_same_headers_are_recognized_whatever_target_and_length(head):
    again = head.replace(b"/a", b"/b?c").replace(b"12", b"1").replace(b": 7", b": 77")

    request, framing, familiar = recognized(learned(head), again)

    incoming, reader = read(again)
    assert facts(request) == facts(incoming.request)
    assert framing == incoming.framing
    assert b"".join(familiar.lines) == b"".join(reader.lines)


@settings(max_examples=2000)
@given(changed_heads())
def test_h1_h19_what_is_recognized_would_be_read_the_same_anew(head):
    try:
        found = recognized(learned(*HEADS), head)
    except BadRequest:
        with pytest.raises(BadRequest):
            read(head)
        return
    if found is None:
        return
    request, framing, familiar = found
    incoming, reader = read(head)
    assert facts(request) == facts(incoming.request)
    assert framing == incoming.framing
    assert b"".join(familiar.lines) == b"".join(reader.lines)
    assert reader.keep_alive
    assert not incoming.expects_continue


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Content-Length: 12", b"Content-Length: 12\r\nContent-Length: 12"),
        (b"Content-Length: 12", b"Content-Length:12"),
        (b"Content-Length: 12", b"CONTENT-LENGTH: 12"),
        (b"Content-Length: 12", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 12", b"Content-Length: 12\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 12\r\n", b""),
        (b"POST", b"PUT"),
        (b"POST", b"DELETE"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b" /a", b"  /a"),
        (b" /a", b" http://localhost/a"),
        (b"a=b", b"a=c"),
    ],
)
def test_anything_else_is_read_anew(before, after):
    assert learned(HEADS[0]).with_body(HEADS[0].replace(before, after), PEER) is None


@pytest.mark.parametrize("length", [b"-1", b" 1", b"1 2", b"0x1", b"1,1", b"", b"9" * 16])
def test_h2_a_length_that_is_no_plain_number_is_read_anew(length):
    assert learned(HEADS[0]).with_body(HEADS[0].replace(b"12", length), PEER) is None


def test_another_peer_is_not_familiar():
    assert learned(HEADS[0]).with_body(HEADS[0], "192.0.2.8") is None


@pytest.mark.parametrize(
    "line", ["Expect: 100-continue", "Authorization: Bearer x", "Via: 1.1 x", "Connection: close"]
)
def test_special_requests_never_become_familiar(line):
    head = HEADS[0].replace(b"Cookie: a=b", line.encode())

    assert learned(head).with_body(head, PEER) is None


def post(
    world: World, body: bytes, *lines: str, path="/x", session_id="s1", method="POST"
) -> bytes:
    head = "".join(f"{line}\r\n" for line in lines)
    token = world.token(session_id=session_id)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"{head}Cookie: accessToken={token}\r\n\r\n"
    ).encode() + body


async def test_bodies_arrive_whole_each_with_its_own_length(world: World):
    client = await world.connect()
    bodies = [b"first", b"", b"x" * 200_000, b"GET /admin HTTP/1.1\r\n\r\n", b"last"]

    for body in bodies:
        client.send(post(world, body))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        await client.read(2)

    (received,) = world.upstream.received
    assert bytes(received).count(b"POST /x HTTP/1.1\r\n") == len(bodies)
    at = 0
    for body in bodies:
        end = received.index(b"\r\n\r\n", at) + 4
        assert b"\r\nContent-Length: %d\r\n\r\n" % len(body) in received[at:end]
        at = end + len(body)
        assert received[end:at] == body
    assert at == len(received)


async def test_i1_the_app_gets_the_same_head_the_first_time_and_later(world: World):
    client = await world.connect()
    for number in range(3):
        client.send(post(world, b"abc", "X-Own: 1", "X-Forwarded-User: root"))
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
        assert len(world.upstream.heads) == number + 1

    first, second, third = (
        head.replace(b"X-Request-Id: r%d" % (number + 1), b"X-Request-Id: r")
        for number, head in enumerate(world.upstream.heads)
    )
    assert first == second == third
    assert b"X-Forwarded-User: alice\r\n" in first
    assert b"root" not in first


async def test_o8_another_sites_page_is_refused_however_often_it_tries(world: World):
    client = await world.connect()
    client.send(post(world, b"ok", "Sec-Fetch-Site: same-origin"))
    assert (await client.answer()).startswith(b"HTTP/1.1 200 ")

    for _ in range(3):
        client.send(post(world, b"evil", "Sec-Fetch-Site: cross-site"))
        assert (await client.answer()).startswith(b"HTTP/1.1 403 ")

    assert len(world.upstream.heads) == 1


async def test_a_session_that_ended_posts_no_more(world: World):
    client = await world.connect()
    for _ in range(2):
        client.send(post(world, b"ok"))
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
    now = world.clock()
    ended = Revocation(at=int(now * 1000), until=int(now * 1000) + 900_000, session_id="s1")

    world.deny.add(ended, now)

    client.send(post(world, b"late"))
    assert (await client.answer()).startswith(b"HTTP/1.1 401 ")
    assert len(world.upstream.heads) == 2


async def test_a_limit_on_bodies_holds_for_familiar_headers(world: World):
    world.route(Route("/*", "app", body_limit=10))
    client = await world.connect()
    for _ in range(2):
        client.send(post(world, b"small"))
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")

    client.send(post(world, b"far too large"))

    assert (await client.answer()).startswith(b"HTTP/1.1 413 ")
    assert len(world.upstream.heads) == 2


async def test_a_familiar_body_that_breaks_off_reaches_nobody_as_whole(world: World):
    client = await world.connect()
    client.send(post(world, b"abc"))
    await client.answer()

    world.upstream.answer = lambda _head: None
    client.send(post(world, b"abcdef")[:-3])
    await world.upstream.until(lambda: world.upstream.bytes_received.endswith(b"\r\n\r\nabc"))
    client.close()

    await until(lambda: world.upstream.open_connections == 0)
    assert b"\r\nContent-Length: 6\r\n\r\nabc" in world.upstream.bytes_received
    assert world.upstream.bytes_received.endswith(b"abc")
