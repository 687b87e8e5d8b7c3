"""Forward-auth: another proxy asks, and only a trusted one may say about what (I3, I4)."""

from ipaddress import ip_network

import pytest

from gateway.observability.audit import AuditKind
from gateway.pipeline import FORWARD_AUTH
from gateway.policy.access import Access, Allow
from gateway.policy.routes import Route
from gateway.proxy.plane import Renewed
from tests.proxy.conftest import World
from tests.proxy.test_exchange import get, status

NAMES = ("User", "Email", "Preferred-Username", "Groups")


@pytest.fixture(autouse=True)
def routes(world: World) -> None:
    admins = Allow(users=frozenset(), groups=frozenset({"admins"}), claims={})
    world.route(
        Route("/auth/verify", FORWARD_AUTH, Access.PUBLIC),
        Route("/public/*", "app", Access.PUBLIC),
        Route("/optional/*", "app", Access.OPTIONAL),
        Route("/admin/*", "app", (admins,)),
        Route("/*", "app"),
    )


def trust(world: World) -> None:
    world.change(trusted_proxies=(ip_network("127.0.0.0/8"),))


def asks(world: World, *lines: str, subject: str | None = "alice") -> bytes:
    cookie = (f"Cookie: accessToken={world.token(subject)}",) if subject else ()
    return get("/auth/verify", *cookie, *lines)


TRAEFIK = (
    "X-Forwarded-Method: GET",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: localhost",
    "X-Forwarded-Uri: {}",
    "X-Forwarded-For: 203.0.113.9",
)
NGINX = ("X-Original-URL: http://localhost{}", "X-Original-Method: GET")
NGINX_URI = ("X-Original-URI: {}", "X-Original-Method: GET")


@pytest.mark.parametrize("dialect", [TRAEFIK, NGINX, NGINX_URI])
@pytest.mark.parametrize(
    ("path", "subject", "expected"),
    [
        ("/x?a=b", "alice", 200),
        ("/x", None, 401),
        ("/admin/x", "alice", 403),
        ("/public/x", None, 200),
        ("/optional/x", None, 200),
    ],
)
async def test_a_trusted_proxy_asks_about_any_request(
    world: World, dialect, path, subject, expected
):
    trust(world)

    answer = await world.send(asks(world, *(d.format(path) for d in dialect), subject=subject))

    assert status(answer) == expected
    for name in NAMES:
        assert answer.count(f"\r\nX-Forwarded-{name}: ".encode()) == 1
    user = b"alice" if expected == 200 and subject else b""
    assert b"\r\nX-Forwarded-User: " + user + b"\r\n" in answer
    assert b"\r\nCache-Control: no-store" in answer
    assert world.upstream.received == []


async def test_i4_who_is_not_trusted_learns_only_whether_he_is_signed_in(world: World):
    told = tuple(line.format("/public/x") for line in TRAEFIK)

    assert status(await world.send(asks(world, *told, subject=None))) == 401
    assert status(await world.send(asks(world, "X-Forwarded-Uri: /admin/x"))) == 200


@pytest.mark.parametrize("path", ["/public/../admin/x", "/x%00", "relative", "/x#y"])
async def test_p1_a_path_that_cannot_be_read_is_not_let_through(world: World, path):
    trust(world)

    answer = await world.send(asks(world, *(line.format(path) for line in TRAEFIK)))

    assert status(answer) == 400


@pytest.mark.parametrize(
    ("proxys", "clients"),
    [
        (NGINX, "X-Forwarded-Uri: /public/x"),
        (NGINX_URI, "X-Forwarded-Uri: /public/x"),
        (NGINX_URI, "X-Original-URL: http://localhost/public/x"),
        (TRAEFIK, "X-Original-URL: http://localhost/public/x"),
        (TRAEFIK, "X-Original-URI: /public/x"),
        (TRAEFIK, "X-Original-URL: http://elsewhere/admin/x"),
        (NGINX, "X-Forwarded-Method: POST"),
        (TRAEFIK, "X-Original-Method: HEAD"),
        (NGINX, "X-Forwarded-Uri:"),
    ],
)
async def test_i4_what_a_client_adds_in_another_dialect_chooses_nothing(
    world: World, proxys, clients
):
    """A proxy replaces the headers that it sets, and passes on those of other dialects."""
    trust(world)
    told = [line.format("/admin/x") for line in proxys]

    for raw in (asks(world, *told, clients), asks(world, clients, *told)):
        assert status(await world.send(raw)) == 400


async def test_a_request_described_alike_in_several_dialects_is_one(world: World):
    trust(world)
    told = [line.format("/public/x") for line in (*TRAEFIK, *NGINX, *NGINX_URI[:1])]

    assert status(await world.send(asks(world, *told, subject=None))) == 200


@pytest.mark.parametrize("line", ["X-Forwarded-Uri:", "X-Original-URL:", "X-Original-URI:"])
async def test_i9_a_proxy_that_says_nothing_where_it_should_is_not_taken_for_one_that_does_not_ask(
    world: World, line
):
    trust(world)

    assert status(await world.send(asks(world, line))) == 400


async def test_a_person_is_told_where_to_sign_in(world: World):
    trust(world)
    told = (*(line.format("/x?y=1") for line in TRAEFIK), "Sec-Fetch-Mode: navigate")

    answer = await world.send(asks(world, *told, subject=None))

    assert status(answer) == 401
    assert b"\r\nLocation: /auth/login?rd=/x%3Fy%3D1\r\n" in answer


async def test_the_session_hears_that_its_token_arrived(world: World):
    await world.send(asks(world))

    assert [entry.token.session_id for entry in world.seen] == ["s1"]


async def test_a_renewal_brings_its_cookies_and_an_ended_session_loses_them(world: World):
    trust(world)
    told = tuple(line.format("/x") for line in TRAEFIK)
    old = "Cookie: refreshToken=old"
    world.renewal = Renewed(world.token(), ("accessToken=new", "refreshToken=new"), "ok")

    renewed = await world.send(get("/auth/verify", old, *told))
    world.renewal = Renewed(None, ("accessToken=", "refreshToken="), "expired")
    ended = await world.send(get("/auth/verify", old, *told))

    assert status(renewed) == 200
    assert b"\r\nX-Forwarded-User: alice\r\n" in renewed
    assert b"\r\nSet-Cookie: accessToken=new\r\nSet-Cookie: refreshToken=new\r\n" in renewed
    assert status(ended) == 401
    assert b"\r\nSet-Cookie: accessToken=\r\nSet-Cookie: refreshToken=\r\n" in ended
    assert [event.kind for event in world.observed.events] == [AuditKind.REFRESH_REFUSED]


async def test_o9_a_cross_site_request_is_refused_here_too_and_written_down(world: World):
    trust(world)
    told = [line.format("/x") for line in TRAEFIK]
    told[0] = "X-Forwarded-Method: POST"

    answer = await world.send(asks(world, *told, "Sec-Fetch-Site: cross-site"))

    assert status(answer) == 403
    assert [event.kind for event in world.observed.events] == [AuditKind.CROSS_SITE_REFUSED]
