"""Renewal on the way: the request simply succeeds, and nothing of it reaches anybody else (C5)."""

import asyncio

import pytest

from gateway.observability.audit import AuditKind
from gateway.proxy.plane import RenewalUnavailable, Renewed
from tests.proxy.conftest import World, until
from tests.proxy.test_exchange import get, status

OLD = "Cookie: theme=dark; refreshToken=old"
SET = b"\r\nSet-Cookie: accessToken=new\r\nSet-Cookie: refreshToken=new"
CLEARING = ("accessToken=; Max-Age=0", "refreshToken=; Max-Age=0")


def renews(world: World, **changes) -> None:
    given = {
        "access_token": world.token(),
        "set_cookies": ("accessToken=new", "refreshToken=new"),
        "outcome": "ok",
    }
    world.renewal = Renewed(**(given | changes))


def answers(world: World, *lines: bytes) -> None:
    head = b"".join(line + b"\r\n" for line in lines)
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\nok" % head


@pytest.mark.parametrize("framing", ["Content-Length: 400000", "Transfer-Encoding: chunked"])
async def test_a_post_passes_whole_and_its_answer_brings_the_cookies(world: World, framing):
    renews(world)
    body = b"x" * 400_000
    sent = body if "Length" in framing else b"61a80\r\n" + body + b"\r\n0\r\n\r\n"

    answer = await world.send(get("/x", framing, OLD, method="POST") + sent)

    assert status(answer) == 200
    assert SET in answer
    assert b"\r\nCache-Control: no-store\r\n" in answer
    await world.upstream.until(lambda: world.upstream.bytes_received.count(b"x") >= 400_000)
    received = world.upstream.bytes_received
    assert b"\r\nX-Forwarded-User: alice\r\n" in received
    assert b"\r\nCookie: theme=dark\r\n" in received
    assert b"refreshToken" not in received
    assert world.renewals == ["old"]


async def test_c5_caching_headers_of_the_app_give_way_to_no_store(world: World):
    renews(world)
    answers(
        world,
        b"Cache-Control: max-age=60",
        b"Expires: Fri, 01 Jan 2027 00:00:00 GMT",
        b"CDN-Cache-Control: max-age=60",
        b"Surrogate-Control: max-age=60",
    )

    answer = await world.send(get("/x", OLD))

    assert SET in answer
    assert b"max-age" not in answer
    assert b"Expires" not in answer
    assert answer.count(b"\r\nCache-Control: no-store\r\n") == 1


async def test_no_connection_header_of_the_app_takes_our_cookies_away(world: World):
    renews(world)
    answers(world, b"Connection: Set-Cookie, Cache-Control")

    answer = await world.send(get("/x", OLD))

    assert SET in answer
    assert b"\r\nCache-Control: no-store\r\n" in answer


@pytest.mark.parametrize("caching", [b"public", b"Public, max-age=1", b"immutable", b"s-maxage=5"])
async def test_c5_what_is_everybodys_carries_nobodys_cookies(world: World, caching):
    renews(world)
    answers(world, b"Cache-Control: " + caching)

    answer = await world.send(get("/x", OLD))

    assert b"Set-Cookie" not in answer
    assert b"\r\nCache-Control: " + caching in answer


@pytest.mark.parametrize("refused", [False, True])
async def test_an_answer_that_comes_too_late_brings_neither_cookie(world: World, refused):
    renews(world, deliver_within=-1.0, access_token=None if refused else world.token())

    answer = await world.send(get("/x", OLD))

    assert status(answer) == (401 if refused else 200)
    assert b"Set-Cookie" not in answer


async def test_i14_while_the_store_is_down_nobody_is_signed_out(world: World):
    world.renewal = RenewalUnavailable()

    for lines in ((OLD,), (OLD, "Sec-Fetch-Mode: navigate")):
        answer = await world.send(get("/x", *lines))
        assert status(answer) == 503
        assert b"\r\nRetry-After: 3\r\n" in answer
        assert b"Set-Cookie" not in answer
    assert world.upstream.received == []
    assert {event.kind for event in world.observed.events} == {AuditKind.REFRESH_UNAVAILABLE}
    assert world.observed.decisions == ["renew:unavailable"] * 2


@pytest.mark.parametrize(
    ("path", "lines", "expected"),
    [("/x", (), 401), ("/x", ("Sec-Fetch-Mode: navigate",), 303), ("/optional/x", (), 200)],
)
async def test_when_the_session_is_over_both_cookies_go(world: World, path, lines, expected):
    renews(world, access_token=None, set_cookies=CLEARING, outcome="expired")

    answer = await world.send(get(path, OLD, *lines))

    assert status(answer) == expected
    for cookie in CLEARING:
        assert b"\r\nSet-Cookie: " + cookie.encode() in answer
    assert b"\r\nCache-Control: no-store\r\n" in answer
    assert b"X-Forwarded-User" not in world.upstream.bytes_received
    (event,) = world.observed.events
    assert (event.kind, event.outcome) == (AuditKind.REFRESH_REFUSED, "expired")


@pytest.mark.usefixtures("often")
async def test_a_client_that_leaves_meanwhile_costs_the_renewal_nothing(world: World):
    renews(world)
    world.may_renew.clear()
    client = await world.connect()
    client.send(get("/x", OLD))
    await world.renewing.wait()
    client.writer.transport.abort()
    await world.quiet()

    world.may_renew.set()
    await until(lambda: len(world.tasks) == 0)

    assert world.upstream.received == []
    assert [told.status for told in world.observed.requests] == [499]


async def test_an_error_in_a_renewal_is_a_500_and_is_reported_once(world: World):
    world.renewal = ZeroDivisionError()

    answer = await world.send(get("/x", OLD))

    assert status(answer) == 500
    assert b"Set-Cookie" not in answer
    assert [type(report["exception"]) for report in world.reports] == [ZeroDivisionError]
    world.reports.clear()


async def test_o9_another_site_renews_nothing_and_is_written_down(world: World):
    renews(world)
    cross_site = ("Sec-Fetch-Site: cross-site", "Origin: http://evil.example", "Content-Length: 0")

    answer = await world.send(get("/x", OLD, *cross_site, method="POST"))

    assert status(answer) == 403
    assert world.renewals == []
    (event,) = world.observed.events
    assert (event.kind, event.client) == (AuditKind.CROSS_SITE_REFUSED, "127.0.0.1")


async def test_other_requests_of_the_connection_wait_for_the_renewal(world: World):
    renews(world)
    world.may_renew.clear()
    client = await world.connect()
    client.send(get("/first", OLD, connection="keep-alive") + get("/second", OLD))
    await world.renewing.wait()
    await asyncio.sleep(0.05)
    assert world.renewals == ["old"]

    world.may_renew.set()
    answer = await client.rest()

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [head.split()[1] for head in world.upstream.heads] == [b"/first", b"/second"]
