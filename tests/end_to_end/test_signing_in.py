"""Signing in and registering, as a program does it and as a browser does it."""

import re

import pytest

from tests.end_to_end.client import ACCESS, NAVIGATE, PASSWORD, PREFIX, REFRESH, Client, claims
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running

NEW_PASSWORD = "seven unrelated lamps"


def test_json_sign_in_gives_both_cookies_and_says_who_one_is(client: Client):
    answer = client.sign_in()
    assert answer.status == 200
    assert answer.json() == {
        "user": {
            "username": "alice",
            "name": "Alice Liddell",
            "email": "alice@example.com",
            "groups": ["admins", "staff"],
        },
        "expires_in": 900,
    }
    assert set(client.jar) == {ACCESS, REFRESH}
    assert answer.header("Cache-Control") == "no-store"


def test_the_access_token_says_what_the_design_promises(alice: Client):
    told = claims(alice.access)
    assert told.keys() == {
        *("iss", "aud", "sub", "sid", "jti", "gen", "iat", "exp", "name", "email", "groups"),
        "department",
    }
    assert (told["sub"], told["aud"], told["gen"]) == ("alice", "gateway", 1)
    assert told["exp"] - told["iat"] == 900


def test_cookies_on_http_have_the_attributes_of_the_design(client: Client):
    cookies = client.sign_in().set_cookies
    shared = {"path": "/", "httponly": "", "samesite": "Lax"}
    assert cookies[ACCESS].attributes == shared | {"max-age": "895"}
    assert cookies[REFRESH].attributes == shared | {"max-age": str(7 * 86400)}


def test_cookies_on_https_are_secure_and_bound_to_the_host(
    start_gateway: StartGateway, app: EchoApp
):
    gateway = start_gateway(smallest(app, public_url="https://app.example.com"))
    client = Client(gateway.port, "app.example.com")
    cookies = client.sign_in().set_cookies
    assert set(cookies) == {"__Host-accessToken", "__Host-refreshToken"}
    for cookie in cookies.values():
        kept = {name: text for name, text in cookie.attributes.items() if name != "max-age"}
        assert kept == {"path": "/", "secure": "", "httponly": "", "samesite": "Lax"}
    assert client.get("/page").status == 200
    assert "cookie" not in {name.lower() for name, _ in app.last("/page").headers}
    cleared = client.auth("POST", "/logout").set_cookies
    for name in cookies:
        assert cleared[name].clears
        assert cleared[name].attributes.keys() >= {"path", "secure", "httponly", "samesite"}
    assert not client.jar


def test_an_unprefixed_cookie_is_no_cookie_of_ours_on_https(
    start_gateway: StartGateway, app: EchoApp
):
    gateway = start_gateway(smallest(app, public_url="https://app.example.com"))
    client = Client(gateway.port, "app.example.com").signed_in()
    planted = Client(gateway.port, "app.example.com")
    headers = [("Cookie", f"accessToken={client.access}; refreshToken={client.refresh_token}")]
    assert planted.get("/page", headers).status == 401


def test_a_form_sends_one_back_to_where_one_was_going(client: Client, app: EchoApp):
    sent = client.navigate("/app/report?year=2026&q=a%20b")
    assert sent.status == 303
    login = sent.header("Location")
    assert login is not None
    assert login.startswith(f"{PREFIX}/login?rd=/app/report")
    page = client.navigate(login)
    assert page.status == 200
    rd = re.search(r'name="rd" value="([^"]*)"', page.body.decode())
    assert rd is not None
    form = {"username": "alice", "password": PASSWORD, "rd": rd[1].replace("&amp;", "&")}
    arrived = client.post(f"{PREFIX}/login", NAVIGATE, form=form)
    assert arrived.status == 303
    assert arrived.header("Location") == "/app/report?year=2026&q=a%20b"
    assert client.navigate("/app/report?year=2026&q=a%20b").status == 200
    assert app.last("/app/report").target == "/app/report?year=2026&q=a%20b"


@pytest.mark.parametrize(
    "rd",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "/..//evil.example",
        "https://localhost@evil.example/",
    ],
)
def test_o5_nobody_is_sent_to_another_site(client: Client, rd: str):
    form = {"username": "alice", "password": PASSWORD, "rd": rd}
    answer = client.post(f"{PREFIX}/login", NAVIGATE, form=form)
    assert (answer.status, answer.header("Location")) == (303, "/")


def test_a_wrong_password_is_a_401_that_gives_no_cookie(client: Client):
    for answer in (client.sign_in(password="wrong"), client.sign_in("bob", "wrong")):
        assert answer.is_problem(401)
        assert answer.set_cookies == {}


def test_o12_unknown_users_are_answered_as_wrong_passwords_are(client: Client):
    known = client.sign_in("alice", "wrong")
    unknown = client.sign_in("nobody-of-that-name", "wrong")
    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert _names(known.headers) == _names(unknown.headers)


def _names(headers):
    return [name for name, _ in headers]


def test_too_many_wrong_passwords_of_one_account_are_a_429(
    start_gateway: StartGateway, app: EchoApp
):
    client = Client(start_gateway(smallest(app)).port)
    statuses = [client.sign_in("bob", "wrong").status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert client.sign_in("bob").header("Retry-After") is not None
    assert client.sign_in("alice").status == 200, "others are not locked out"


def test_a_session_that_was_there_before_ends_with_a_new_sign_in(client: Client):
    """S10: what a stranger planted in the browser never becomes a session of its owner."""
    planted = client.signed_in().copy()
    client.signed_in("bob")
    assert planted.get("/app/page").status == 401
    assert client.get("/app/page").status == 200


def test_registration_makes_an_account_and_signs_it_in(client: Client, app: EchoApp):
    account = {"username": "Carol", "password": NEW_PASSWORD, "email": "carol@example.com"}
    answer = client.auth("POST", "/register", json=account)
    assert answer.status == 201
    assert answer.json()["user"]["username"] == "carol"
    assert client.get("/app/carol").status == 200
    assert app.last("/app/carol").header("X-Forwarded-User") == "carol"
    assert Client(client.port).sign_in("carol", NEW_PASSWORD).status == 200


def test_a_name_is_given_once_whoever_has_it(client: Client):
    account = {"username": "dora", "password": NEW_PASSWORD}
    assert client.auth("POST", "/register", json=account).status == 201
    assert client.auth("POST", "/register", json=account).is_problem(409)
    for spelling in ("Dora", "ｄｏｒａ", "alice"):
        again = Client(client.port).auth("POST", "/register", json=account | {"username": spelling})
        assert again.is_problem(409), spelling
        assert again.set_cookies == {}


@pytest.mark.parametrize(
    "account",
    [
        {"username": "", "password": NEW_PASSWORD},
        {"username": "eve", "password": ""},
        {"username": "eve", "password": "short"},
        {"username": "eve", "password": "password"},
        {"username": "e v\ne", "password": NEW_PASSWORD},
        {"username": "eve", "password": NEW_PASSWORD, "email": "no address"},
        {"username": ["eve"], "password": NEW_PASSWORD},
    ],
    ids=str,
)
def test_an_unfit_account_is_a_422_that_names_the_field(client: Client, account):
    answer = client.auth("POST", "/register", json=account)
    assert answer.is_problem(422)
    assert answer.json()["field"] in account
    assert answer.set_cookies == {}


def test_where_registration_is_off_it_is_a_403(explicit: Running):
    client = Client(explicit.port)
    account = {"username": "eve", "password": NEW_PASSWORD}
    assert client.auth("POST", "/register", json=account).is_problem(403)
    assert client.navigate(f"{PREFIX}/register").status == 403
    assert b"/register" not in client.navigate(f"{PREFIX}/login").body


def test_signing_in_from_another_sites_page_is_refused(client: Client):
    """O8, login CSRF included."""
    evil = (("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"))
    form = {"username": "alice", "password": PASSWORD}
    answer = client.post(f"{PREFIX}/login", evil, form=form)
    assert answer.status == 403
    assert answer.set_cookies == {}
