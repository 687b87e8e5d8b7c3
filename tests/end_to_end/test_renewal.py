"""An expired access token is nobody's business but the gateway's."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.end_to_end.client import ACCESS, FETCH, NAVIGATE, REFRESH, Client, claims, seconds_left
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, until


@pytest.fixture
def forgetful(gateway: Running) -> Client:
    """Alice with her access cookie gone, as browsers drop it when its Max-Age has passed."""
    client = Client(gateway.port).signed_in()
    client.forget(ACCESS)
    return client


@pytest.fixture
def late(hasty: Running) -> Client:
    """Alice with an access token that has expired and is shown all the same."""
    client = Client(hasty.port).signed_in()
    expire(client)
    return client


def expire(client: Client) -> None:
    until(lambda: seconds_left(client.access) < 0, "the access token expires")


@pytest.mark.parametrize("headers", [FETCH, NAVIGATE, ()], ids=["fetch", "navigation", "program"])
def test_a_get_without_its_access_cookie_just_succeeds(forgetful: Client, app: EchoApp, headers):
    answer = forgetful.request("GET", "/app/renewed", headers)
    assert answer.status == 200
    assert ACCESS in answer.set_cookies
    assert answer.header("Cache-Control") == "no-store"
    assert app.last("/app/renewed").header("X-Forwarded-User") == "alice"
    assert "Set-Cookie" not in dict(forgetful.get("/app/renewed").headers), "renewed once"


def test_a_get_with_an_expired_token_just_succeeds(late: Client, app: EchoApp):
    before = late.access
    answer = late.get("/late")
    assert answer.status == 200
    assert answer.set_cookies.keys() >= {ACCESS}
    assert late.access != before
    assert seconds_left(late.access) > 0
    assert app.last("/late").header("X-Forwarded-User") == "alice"


def test_a_post_with_an_expired_token_arrives_once_and_whole(late: Client, app: EchoApp):
    body = json.dumps({"text": "ä" * 20_000}).encode()
    before = len(app.arrivals)
    answer = late.post("/late-post", body=body)
    assert answer.status == 200
    assert ACCESS in answer.set_cookies
    assert app.last("/late-post").body.encode("latin-1") == body
    assert [each.method for each in app.arrivals[before:]] == ["POST"]


def test_a_websocket_with_an_expired_token_opens_and_its_101_carries_the_cookie(
    late: Client, app: EchoApp
):
    with late.websocket("/late/socket") as socket:
        assert socket.answer.status == 101
        assert ACCESS in socket.answer.set_cookies
        socket.say("still here")
        assert socket.hear() == "echo: still here"
        assert app.last("/late/socket").header("X-Forwarded-User") == "alice"
    assert seconds_left(late.access) > -1


def test_a_refusal_carries_the_new_cookies_too(gateway: Running):
    client = Client(gateway.port).signed_in("bob")
    client.forget(ACCESS)
    answer = client.get("/admins/page")
    assert answer.is_problem(403)
    assert ACCESS in answer.set_cookies


def test_a_public_page_renews_nothing(gateway: Running):
    client = Client(gateway.port).signed_in()
    client.forget(ACCESS)
    assert client.get("/public/page").set_cookies == {}


def test_refresh_tokens_rotate_and_a_spent_one_ends_the_session_for_both(hasty: Running):
    client = Client(hasty.port).signed_in()
    thief = client.copy()
    spent = client.refresh_token

    def rotated() -> bool:
        expire(client)
        assert client.get("/rotating").status == 200
        return client.refresh_token != spent

    until(rotated, "the refresh token rotates")
    expire(client)
    assert client.get("/rotating").status == 200, "the successor is in use now"
    ends = until(lambda: _ended(thief), "grace is over and the spent token is a thief's")
    assert ends.is_problem(401)
    assert ends.set_cookies[ACCESS].clears
    assert ends.set_cookies[REFRESH].clears
    assert client.get("/rotating").is_problem(401)


def _ended(thief: Client):
    attempt = thief.copy()
    answer = attempt.refresh()
    return answer if answer.status == 401 else None


def test_ten_parallel_requests_at_expiry_are_all_answered_as_the_user(late: Client):
    with ThreadPoolExecutor(10) as tabs:
        answers = list(tabs.map(lambda _: late.copy().get("/parallel"), range(10)))
    assert [each.status for each in answers] == [200] * 10
    given = {each.set_cookies[REFRESH].value for each in answers if REFRESH in each.set_cookies}
    assert len(given) <= 1, "one successor"


def test_an_explicit_refresh_answers_as_the_design_says(alice: Client):
    before = alice.access
    answer = alice.refresh()
    assert answer.status == 200
    assert answer.json() == {"message": "token refreshed", "expires_in": 900}
    assert alice.access != before
    assert answer.header("Cache-Control") == "no-store"
    assert claims(alice.access)["sid"] == claims(before)["sid"]


def test_a_refresh_without_a_token_is_a_401_that_touches_nothing(client: Client):
    answer = client.refresh()
    assert answer.is_problem(401)
    assert answer.set_cookies == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "garbage",
        lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
        lambda token: token + ".x",
        lambda _: "gr1." + "A" * 5000,
    ],
    ids=["garbage", "forged", "longer", "endless"],
)
def test_a_refresh_token_that_proves_nothing_is_cleared(alice: Client, spoil):
    forger = Client(alice.port)
    headers = [*FETCH, ("Cookie", f"{REFRESH}={spoil(alice.refresh_token)}")]
    for answer in (
        forger.post("/api/v1/auth/refresh-token", headers),
        forger.get("/app/page", headers),
    ):
        assert answer.is_problem(401)
        assert answer.set_cookies.keys() == {ACCESS, REFRESH}
        assert all(each.clears for each in answer.set_cookies.values())
    assert alice.refresh().status == 200, "the real session lives on"


def test_a_refresh_token_of_an_unknown_key_is_refused_and_left_alone(alice: Client):
    """Another replica may know the key, so the cookie is not definitely dead."""
    version, _kid, *rest = alice.refresh_token.split(".")
    stranger = ".".join([version, "0123456789abcdef", *rest])
    answer = Client(alice.port).post(
        "/api/v1/auth/refresh-token", [*FETCH, ("Cookie", f"{REFRESH}={stranger}")]
    )
    assert answer.is_problem(401)
    assert answer.set_cookies == {}


class TestWithTransparentRefreshOff:
    """The front-end flow of old: 401, then POST refresh-token, then the request once more."""

    def test_the_refresh_cookie_goes_to_the_gateway_only(self, explicit: Running, app: EchoApp):
        client = Client(explicit.port)
        cookies = client.sign_in().set_cookies
        assert cookies[REFRESH].attributes["path"] == "/api/v1/auth"
        assert cookies[ACCESS].attributes["path"] == "/"
        client.get("/off")
        assert app.last("/off").header("Cookie") is None

    def test_401_then_refresh_then_the_request_succeeds(self, explicit: Running, app: EchoApp):
        client = Client(explicit.port).signed_in()
        client.forget(ACCESS)
        refused = client.get("/off/again")
        assert refused.is_problem(401)
        assert refused.header("WWW-Authenticate")
        assert refused.set_cookies == {}
        assert not app.reached("/off/again")
        answer = client.refresh()
        assert answer.json() == {"message": "token refreshed", "expires_in": 900}
        assert client.post("/off/again", json={"n": 1}).status == 200
        assert app.last("/off/again").header("X-Forwarded-User") == "alice"

    def test_even_where_the_refresh_token_comes_along_nothing_is_renewed(self, explicit: Running):
        client = Client(explicit.port).signed_in()
        headers = [*FETCH, ("Cookie", f"{REFRESH}={client.refresh_token}")]
        assert Client(explicit.port).get("/off", headers).is_problem(401)

    def test_a_dead_refresh_token_clears_both_cookies_where_they_were_set(self, explicit: Running):
        client = Client(explicit.port).signed_in()
        stale = client.copy()
        client.auth("POST", "/logout")
        answer = stale.refresh()
        assert answer.is_problem(401)
        cleared = answer.set_cookies
        assert cleared[ACCESS].attributes["path"] == "/"
        assert cleared[REFRESH].attributes["path"] == "/api/v1/auth"
        assert not stale.jar
