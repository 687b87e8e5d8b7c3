"""Sign-out is the end of a session, not of a cookie."""

import pytest

from tests.end_to_end.client import ACCESS, NAVIGATE, PREFIX, REFRESH, Client
from tests.end_to_end.running import Running, until


def test_sign_out_clears_both_cookies_with_the_attributes_they_were_set_with(client: Client):
    given = client.sign_in().set_cookies
    answer = client.auth("POST", "/logout")
    assert answer.status == 200
    assert {ACCESS, REFRESH} <= answer.set_cookies.keys()
    for name in (ACCESS, REFRESH):
        cleared = answer.set_cookies[name]
        assert cleared.clears
        varying = {"max-age", "expires"}
        assert {k: v for k, v in cleared.attributes.items() if k not in varying} == {
            k: v for k, v in given[name].attributes.items() if k not in varying
        }
    assert not client.jar


def test_neither_token_opens_anything_after_sign_out(alice: Client):
    stolen, bearer = alice.copy(), [("Authorization", f"Bearer {alice.access}")]
    assert alice.auth("POST", "/logout").status == 200
    assert stolen.get("/app/page").is_problem(401)
    assert Client(alice.port).get("/app/page", bearer).is_problem(401)


@pytest.mark.parametrize("kept", [ACCESS, REFRESH])
def test_either_token_alone_ends_the_session(gateway: Running, kept: str):
    client = Client(gateway.port).signed_in()
    stolen = client.copy()
    client.forget(REFRESH if kept == ACCESS else ACCESS)
    assert client.auth("POST", "/logout").status == 200
    for name in (ACCESS, REFRESH):
        thief = Client(gateway.port, jar={name: stolen.jar[name]})
        assert thief.get("/app/page").is_problem(401)


def test_the_dead_refresh_token_is_cleared_and_says_so(alice: Client):
    stale = alice.copy()
    alice.auth("POST", "/logout")
    answer = stale.refresh()
    assert answer.is_problem(401)
    assert answer.set_cookies.keys() == {ACCESS, REFRESH}
    assert not stale.jar


def test_the_other_devices_stay_signed_in_unless_everywhere_is_said(gateway: Running):
    here, there = Client(gateway.port).signed_in("bob"), Client(gateway.port).signed_in("bob")
    here.auth("POST", "/logout")
    assert there.get("/app/page").status == 200
    here = Client(gateway.port).signed_in("bob")
    stolen = here.copy()
    assert here.auth("POST", "/logout?everywhere=true").status == 200
    for client in (there, stolen):
        assert client.get("/app/page").is_problem(401)


def test_w4_an_open_websocket_ends_with_its_session(alice: Client):
    with alice.websocket("/app/socket") as socket:
        socket.say("one")
        assert socket.hear() == "echo: one"
        alice.auth("POST", "/logout")
        assert socket.hear() is None


def test_a_browser_comes_back_to_the_sign_in_page(alice: Client):
    answer = alice.request("POST", f"{PREFIX}/logout", NAVIGATE, form={})
    assert answer.status == 303
    assert answer.header("Location") == f"{PREFIX}/login?notice=signed-out"
    assert b"You are signed out" in alice.navigate(f"{PREFIX}/login?notice=signed-out").body


def test_o8_a_link_signs_nobody_out_and_neither_does_another_site(alice: Client):
    assert alice.navigate(f"{PREFIX}/logout").status == 200
    evil = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]
    assert alice.post(f"{PREFIX}/logout", evil).status == 403
    assert alice.get("/app/page").status == 200


def test_signing_out_twice_or_never_signed_in_is_no_error(client: Client):
    assert client.auth("POST", "/logout").status == 200
    assert client.auth("POST", "/logout").status == 200


def test_a_user_sees_and_ends_their_own_sessions(gateway: Running):
    desk, phone = Client(gateway.port).signed_in("zoë"), Client(gateway.port).signed_in("zoë")
    listed = desk.auth("GET", "/sessions").json()["sessions"]
    assert sum(each["current"] for each in listed) == 1
    others = [each["id"] for each in listed if not each["current"]]
    assert others
    for public_id in others:
        assert desk.auth("DELETE", f"/sessions/{public_id}").status == 200
    until(lambda: phone.copy().get("/app/page").status == 401, "the phone is signed out")
    assert desk.get("/app/page").status == 200
    assert all(each["id"] not in desk.access for each in listed), "the id itself stays inside"
