"""An app that ignores the case of letters is not sent what its admins alone may see (P1)."""

import pytest

from tests.end_to_end.client import ACCESS, FETCH, PREFIX, Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running

OTHER_LETTERS = (
    *(
        "/ADMIN/x",
        "/Admin/x",
        "/%41dmin/x",
        "/ADMIN%2Fx",
        "/%2541dmin/x",
        "/ADMIN;a/x",
        "//ADMIN/x",
    ),
    *("//y/ADMIN/x", "/adm%C4%B1n/x", "/adm%C4%B0n/x", "/ADMIN/x?y=/public/", "/REPORTS/x"),
    *("/reports/x", "/PAGES"),
)


@pytest.fixture(scope="module")
def guarded(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """The usual table: some of it for some, the rest for whoever is signed in."""
    admins = {"groups": ["admins"]}
    return starts_gateways(
        smallest(
            app,
            public_url="http://app.example.com",
            trusted_proxies=["127.0.0.1/32"],
            routes=[
                {"path": "/static/*", "upstream": "app", "access": "public"},
                {"path": "/admin/*", "upstream": "app", "access": admins},
                {"path": "/pages", "upstream": "app", "access": admins, "methods": ["GET"]},
                {"path": "/Reports/*", "upstream": "app", "access": admins},
                {"path": "/*", "upstream": "app", "preflight": True},
            ],
        )
    )


@pytest.fixture
def alice(guarded: Running) -> Client:
    return Client(guarded.port).signed_in()


@pytest.fixture
def bob(guarded: Running) -> Client:
    return Client(guarded.port).signed_in("bob")


@pytest.mark.parametrize("path", OTHER_LETTERS)
def test_p1_other_letters_are_no_way_past_a_rule(alice: Client, bob: Client, app, path: str):
    before = len(app.arrivals)

    for who in (bob, alice, Client(bob.port)):
        assert who.get(path).is_problem(400)

    assert app.arrivals[before:] == []


def test_the_answer_says_that_the_path_is_not_clear(bob: Client):
    problem = bob.get("/ADMIN/x").json()

    assert problem["code"] == "ambiguous"
    assert problem["detail"] == "The path can be understood in several ways."


def test_whoever_writes_the_path_as_the_rule_does_is_served(alice: Client, bob: Client, app):
    for path in ("/admin/X", "/Reports/x", "/pages"):
        assert (alice.get(path).status, bob.get(path).status) == (200, 403), path
        assert app.last(path).target == path


def test_letters_that_no_rule_hangs_on_pass_as_they_came(bob: Client, app: EchoApp):
    for path in ("/Items/aBcD", "/STATIC/app.js", "/ADMINISTRATOR", "/PAGES/x"):
        assert bob.get(path).status == 200
        assert app.last(path).target == path
    assert bob.post("/PAGES").status == 200, "the rule is for another method"


def test_a_websocket_a_preflight_and_a_bearer_token_meet_the_same_rule(bob: Client, app):
    before = len(app.arrivals)
    preflight = (
        ("Origin", "https://partner.example"),
        ("Access-Control-Request-Method", "POST"),
    )
    bearer = (*FETCH, ("Authorization", f"Bearer {bob.access}"))

    with bob.websocket("/ADMIN/socket") as socket:
        assert socket.answer.is_problem(400)
    assert Client(bob.port).request("OPTIONS", "/ADMIN/x", preflight).is_problem(400)
    assert Client(bob.port).get("/ADMIN/x", bearer).is_problem(400)

    assert app.arrivals[before:] == []


def test_nothing_is_renewed_for_a_request_that_is_refused(bob: Client):
    bob.forget(ACCESS)

    answer = bob.get("/ADMIN/x")

    assert answer.is_problem(400)
    assert answer.set_cookies == {}


def test_a_proxy_that_asks_is_told_no(alice: Client):
    def about(path: str):
        return (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", path))

    assert alice.get(f"{PREFIX}/verify", about("/admin/x")).status == 200
    assert alice.get(f"{PREFIX}/verify", about("/ADMIN/x")).status == 403


def test_our_own_endpoints_are_known_by_their_own_letters_alone(bob: Client, app: EchoApp):
    path = f"{PREFIX.upper()}/session"

    assert bob.get(f"{PREFIX}/session").status == 200
    assert bob.get(path).status == 200
    assert app.reached(path)
