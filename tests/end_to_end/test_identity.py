"""What the app learns of a person, and what nobody can make it believe (SECURITY I1, I5–I7)."""

import jwt
import pytest

from tests.end_to_end.client import ACCESS, FETCH, PREFIX, REFRESH, Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running

IDENTITY = (
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Groups",
    "X-Gateway-Assertion",
)
FORWARDING = (
    *("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
    *("X-Forwarded-Port", "X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "Proxy"),
)


def spellings(name: str) -> list[str]:
    return [
        name,
        name.lower(),
        name.upper(),
        name.replace("-", "_"),
        name.replace("-", "."),
        name.replace("-", "_", 1),
    ]


def test_the_app_learns_who_it_is(alice: Client, app: EchoApp):
    assert alice.get("/app/who").status == 200
    arrival = app.last("/app/who")
    assert arrival.header("X-Forwarded-User") == "alice"
    assert arrival.header("X-Forwarded-Email") == "alice@example.com"
    assert arrival.header("X-Forwarded-Preferred-Username") == "Alice Liddell"
    assert arrival.header("X-Forwarded-Groups") == "admins,staff"
    assert arrival.header("X-Forwarded-For") == "127.0.0.1"
    assert arrival.header("X-Forwarded-Proto") == "http"
    assert arrival.header("X-Forwarded-Host") == f"127.0.0.1:{alice.port}"
    assert arrival.header("X-Request-Id")


def test_i7_names_beyond_ascii_arrive_percent_encoded(gateway: Running, app: EchoApp):
    client = Client(gateway.port).signed_in("zoë")
    assert client.get("/app/zoe").status == 200
    arrival = app.last("/app/zoe")
    assert arrival.header("X-Forwarded-User") == "zo%C3%AB"
    assert arrival.header("X-Forwarded-Preferred-Username") == "Zo%C3%AB %C3%87elik"
    assert arrival.header("X-Forwarded-Groups") == "R&D K%C3%B6ln"


@pytest.mark.parametrize("path", ["/app/", "/optional/", "/public/"])
def test_i1_no_spelling_of_a_header_makes_the_app_believe_a_client(
    alice: Client, app: EchoApp, path: str
):
    where = f"{path}spoofed"
    forged = [
        (spelling, "mallory") for name in (*IDENTITY, *FORWARDING) for spelling in spellings(name)
    ]
    # 100 fields are the limit, so they come in portions.
    for portion in _cut(forged):
        assert alice.get(where, [*FETCH, *portion]).status == 200
        for name, value in app.last(where).headers:
            assert "mallory" not in value, name
    if path != "/public/":
        assert app.last(where).header("X-Forwarded-User") == "alice"


def _cut(items, size=40):
    return [items[start : start + size] for start in range(0, len(items), size)]


def test_i1_nor_does_it_for_somebody_who_is_nobody(client: Client, app: EchoApp):
    for path in ("/public/nobody", "/optional/nobody"):
        for portion in _cut([(s, "mallory") for name in IDENTITY for s in spellings(name)]):
            assert client.get(path, [*FETCH, *portion]).status == 200
            assert "mallory" not in str(app.last(path).headers)


def test_h7_a_connection_header_removes_nothing_that_the_gateway_sets(alice: Client, app: EchoApp):
    named = "close, X-Forwarded-User, x-forwarded-groups, X-Forwarded-For, Cookie"
    assert alice.get("/app/hop", [*FETCH, ("Connection", named)]).status == 200
    arrival = app.last("/app/hop")
    assert arrival.header("X-Forwarded-User") == "alice"
    assert arrival.header("X-Forwarded-Groups") == "admins,staff"


def test_i6_our_cookies_never_reach_the_app_and_its_own_do(alice: Client, app: EchoApp):
    alice.get("/app/cookies?set=theme%3Ddark&set=lang%3Dde%3B%20Path%3D/app")
    assert alice.get("/app/own").status == 200
    assert app.last("/app/own").header("Cookie") == "theme=dark; lang=de"
    for path in ("/public/own", "/optional/own"):
        assert alice.get(path).status == 200
        assert app.last(path).header("Cookie") == "theme=dark"
    assert not any(alice.access in str(each.headers) for each in app.arrivals)
    assert not any(alice.refresh_token in str(each.headers) for each in app.arrivals)


def test_i6_the_app_cannot_set_cookies_of_our_names(alice: Client):
    names = (ACCESS, REFRESH, ACCESS.upper(), f"={ACCESS}")
    query = "&".join(f"set={name.replace('=', '%3D')}%3Dstolen" for name in names)
    answer = alice.get(f"/app/cookies?{query}&set=mine%3D1")
    assert answer.all("Set-Cookie") == ["mine=1"]


def test_a_bearer_token_is_as_good_as_the_cookie_and_stays_here(alice: Client, app: EchoApp):
    program = Client(alice.port)
    bearer = [("Authorization", f"Bearer {alice.access}")]
    assert program.post("/app/bearer", bearer, json={"n": 1}).status == 200
    arrival = app.last("/app/bearer")
    assert arrival.header("X-Forwarded-User") == "alice"
    assert arrival.header("Authorization") is None


def test_the_apps_own_authorization_passes(alice: Client, app: EchoApp):
    assert alice.get("/app/basic", [*FETCH, ("Authorization", "Basic YTpi")]).status == 200
    assert app.last("/app/basic").header("Authorization") == "Basic YTpi"


def test_i8_the_assertion_proves_who_it_is_with_the_published_keys(alice: Client, app: EchoApp):
    assert alice.get("/app/asserted").status == 200
    assertion = app.last("/app/asserted").header("X-Gateway-Assertion")
    assert assertion is not None
    # As an app's author would check it, with PyJWT alone.
    published = alice.auth("GET", "/jwks.json").json()
    key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(assertion)["kid"]]
    told = jwt.decode(
        assertion,
        key,
        algorithms=["ES256"],
        audience="gateway-assertion",
        issuer="http://localhost",
        options={"require": ["exp", "iat", "sub"]},
    )
    assert (told["sub"], told["groups"]) == ("alice", ["admins", "staff"])
    assert "sid" not in told


def test_i8_an_assertion_is_no_access_token(alice: Client, app: EchoApp):
    alice.get("/app/no-token")
    assertion = app.last("/app/no-token").header("X-Gateway-Assertion")
    answer = Client(alice.port).get("/app/page", [("Authorization", f"Bearer {assertion}")])
    assert answer.status == 401


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"preset": "remote"}, "Remote-User"),
        ({"preset": "auth-request"}, "X-Auth-Request-User"),
        ({"user": "X-Remote-User", "email": None, "name": None, "groups": None}, "X-Remote-User"),
    ],
    ids=["remote", "auth-request", "renamed"],
)
def test_the_headers_go_by_the_names_that_are_configured(
    start_gateway: StartGateway, app: EchoApp, headers, name: str
):
    client = Client(start_gateway(smallest(app, headers=headers)).port).signed_in()
    forged = [(spelling, "mallory") for spelling in spellings(name)]
    assert client.get("/named", [*FETCH, *forged]).status == 200
    arrival = app.last("/named")
    assert arrival.header(name) == "alice"
    assert "mallory" not in str(arrival.headers)
    assert arrival.header("X-Forwarded-User") is None
    if None in headers.values():
        assert "alice@example.com" not in str(arrival.headers)


def test_the_app_never_sees_the_gateways_own_paths(alice: Client, app: EchoApp):
    assert alice.get(f"{PREFIX}/no-such-thing").is_problem(404)
    assert not any(each.target.startswith(PREFIX) for each in app.arrivals)
