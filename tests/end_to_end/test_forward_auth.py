"""The gateway as the one that other proxies ask (nginx, Caddy, Traefik): GET /verify."""

import pytest

from tests.end_to_end.client import ACCESS, PREFIX, REFRESH, Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running

VERIFY = f"{PREFIX}/verify"
IDENTITY = (
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Groups",
)


@pytest.fixture(scope="module")
def trusting(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """A gateway that believes a proxy on this machine."""
    return starts_gateways(
        smallest(
            app,
            public_url="http://app.example.com",
            trusted_proxies=["127.0.0.1/32"],
            routes=[
                {"path": "/public/*", "upstream": "app", "access": "public"},
                {"path": "/admins/*", "upstream": "app", "access": {"groups": ["admins"]}},
                {"path": "/*", "upstream": "app"},
            ],
        )
    )


def about(path: str, method: str = "GET"):
    """What Traefik and Caddy say of the request they ask about."""
    return (
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "app.example.com"),
        ("X-Forwarded-Uri", path),
        ("X-Forwarded-For", "198.51.100.7"),
    )


def test_who_is_signed_in_passes_with_every_identity_header(trusting: Running):
    answer = Client(trusting.port).signed_in().get(VERIFY, about("/page"))
    assert answer.status == 200
    assert [answer.header(name) for name in IDENTITY] == [
        "alice",
        "alice@example.com",
        "Alice Liddell",
        "admins,staff",
    ]


def test_i3_who_is_not_is_told_401_and_every_header_is_there_and_empty(trusting: Running):
    client = Client(trusting.port)
    for path, status in (("/page", 401), ("/public/page", 200)):
        forged = tuple((name, "mallory") for name in IDENTITY)
        answer = client.get(VERIFY, (*about(path), *forged))
        assert answer.status == status
        assert [answer.header(name) for name in IDENTITY] == [""] * 4


def test_the_rule_of_the_asked_path_decides(trusting: Running):
    bob = Client(trusting.port).signed_in("bob")
    assert bob.get(VERIFY, about("/admins/page")).status == 403
    assert bob.get(VERIFY, about("/page")).status == 200
    url = (("X-Original-URL", "http://app.example.com/admins/page"), ("X-Original-Method", "GET"))
    assert bob.get(VERIFY, url).status == 403, "as nginx recipes ask"


def test_a_renewal_gives_its_cookies_to_whoever_asked(trusting: Running):
    client = Client(trusting.port).signed_in()
    client.forget(ACCESS)
    answer = client.get(VERIFY, about("/page"))
    assert answer.status == 200
    assert ACCESS in answer.set_cookies


def test_a_navigation_is_told_where_to_sign_in(trusting: Running):
    headers = (*about("/page?x=1"), ("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"))
    answer = Client(trusting.port).get(VERIFY, headers)
    assert answer.status == 401
    location = answer.header("Location")
    assert location is not None
    assert location.endswith("/api/v1/auth/login?rd=/page%3Fx%3D1")


def test_i4_a_stranger_chooses_no_path_for_the_rules_to_see(gateway: Running):
    """CVE-2026-40575: this gateway trusts nobody."""
    client = Client(gateway.port)
    assert client.get(VERIFY, about("/public/page")).status == 401
    assert client.get(VERIFY).status == 401
    assert client.signed_in().get(VERIFY).status == 200


def test_what_cannot_be_read_is_denied(trusting: Running):
    client = Client(trusting.port).signed_in()
    for broken in (
        (("X-Forwarded-Uri", "no path"),),
        (("X-Forwarded-Uri", "/x"), ("X-Forwarded-Host", "a b")),
        (("X-Forwarded-Uri", "/x"), ("X-Forwarded-For", "not an address")),
    ):
        assert client.get(VERIFY, broken).status in (400, 401, 403)


def test_garbage_cookies_never_pass(trusting: Running):
    """CVE-2026-25748: a malformed session cookie was answered with 200."""
    for value in ("", "x", "a.b.c", "é", "%00", '"quoted"', "A" * 4000):
        cookie = (("Cookie", f"{ACCESS}={value}; {REFRESH}={value}"),)
        assert Client(trusting.port).get(VERIFY, (*about("/page"), *cookie)).status == 401, value
