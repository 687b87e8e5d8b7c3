"""Who gets through, and what the app sees of credentials (SECURITY P1–P5, I6, J1, C2)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline import Forward, Reason, Refuse, Renew
from gateway.tokens.access import AccessToken
from gateway.tokens.foreign import KeysUnavailable
from tests.pipeline.house import (
    NOW,
    pipeline,
    refused,
    request,
    token,
)


def test_a_valid_cookie_forwards_as_its_principal_and_hides_our_cookies():
    decision = pipeline().decide(request(access=token(), refresh="r", cookie="a=b"), NOW)

    assert isinstance(decision, Forward)
    assert decision.authenticated.token.principal.subject == "alice"
    assert decision.cookie == b"a=b"
    assert b"X-Forwarded-User: alice" in decision.authenticated.identity_lines


def test_a_valid_bearer_token_forwards_too_and_is_hidden_from_the_app():
    decider = pipeline()

    for _ in range(2):
        decision = decider.decide(request(bearer=token()), NOW)

        assert isinstance(decision, Forward)
        assert decision.authenticated.token.principal.subject == "alice"
        assert decision.hide_authorization


@pytest.mark.parametrize("path", ["/public/x", "/optional/x", "/x"])
@pytest.mark.parametrize("beside", [{}, {"access": token("bob")}], ids=["alone", "with a cookie"])
def test_i6_a_bearer_token_of_ours_reaches_no_app_whatever_opened_the_route(path, beside):
    decider = pipeline()

    for _ in ("at first", "again"):
        decision = decider.decide(request(path, bearer=token(), **beside), NOW)

        assert isinstance(decision, Forward)
        assert decision.hide_authorization


@pytest.mark.parametrize("path", ["/public/x", "/optional/x", "/x"])
def test_i6_what_hid_our_token_hides_no_token_of_the_app(path):
    decider, cookie = pipeline(), token("bob")
    decider.decide(request(path, bearer=token(), access=cookie), NOW)

    decision = decider.decide(request(path, bearer="app-token", access=cookie), NOW)

    assert isinstance(decision, Forward)
    assert not decision.hide_authorization


def test_i6_a_bearer_token_whose_keys_cannot_be_had_reaches_no_app_on_a_public_route():
    def unreachable(_token: str, _now: float) -> AccessToken:
        raise KeysUnavailable

    decision = pipeline(verify=unreachable).decide(request("/public/x", bearer="x.y.z"), NOW)

    assert isinstance(decision, Forward)
    assert decision.hide_authorization


def test_the_portal_sees_every_credential():
    decision = pipeline().decide(request("/auth/session", bearer=token()), NOW)

    assert isinstance(decision, Forward)
    assert not decision.hide_authorization


def test_a_bearer_token_of_the_app_itself_is_the_apps_business():
    decision = pipeline().decide(request("/optional/x", bearer="app-token"), NOW)

    assert isinstance(decision, Forward)
    assert decision.authenticated is None
    assert not decision.hide_authorization


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/public/x", None),
        ("/optional/x", None),
        ("/x", (401, Reason.UNAUTHENTICATED)),
        ("/admin/x", (401, Reason.UNAUTHENTICATED)),
    ],
)
def test_without_credentials_only_what_is_open_is_forwarded(path, expected):
    decision = pipeline().decide(request(path), NOW)

    if expected is None:
        assert isinstance(decision, Forward)
        assert decision.authenticated is None
    else:
        assert refused(decision) == expected


def test_a_rule_for_a_group_refuses_everybody_else():
    decider = pipeline()

    assert refused(decider.decide(request("/admin/x", access=token()), NOW))[0] == 403
    assert isinstance(
        decider.decide(request("/admin/x", access=token(groups=("admins",))), NOW), Forward
    )


def test_no_route_is_a_404_and_an_ambiguous_path_a_400():
    decider = pipeline()

    assert refused(decider.decide(request("/x", "PUT"), NOW)) == (404, Reason.NO_ROUTE)
    assert refused(decider.decide(request("//admin/x", access=token()), NOW)) == (
        400,
        Reason.AMBIGUOUS,
    )


def test_p1_a_public_rule_never_opens_a_path_with_a_second_protected_reading():
    decider = pipeline()

    for path in ("//public/x", "/public;/x", "/public%2fx", "/;/public/x", "/%2561dmin/x"):
        assert isinstance(decider.decide(request(path), NOW), Refuse)


def test_the_portal_alone_sees_our_cookies():
    decision = pipeline().decide(request("/auth/session", access=token(), refresh="r"), NOW)

    assert isinstance(decision, Forward)
    assert b"refreshToken=r" in decision.cookie


def test_keys_of_another_issuer_that_cannot_be_had_are_a_503_not_a_no():
    def unreachable(_token: str, _now: float) -> AccessToken:
        raise KeysUnavailable("no answer")

    decision = pipeline(verify=unreachable).decide(request(bearer="x.y.z"), NOW)

    assert refused(decision) == (503, Reason.KEYS_UNAVAILABLE)


GOOD = token()
TAMPERED = GOOD[:-4] + ("AAAA" if GOOD[-4:] != "AAAA" else "BBBB")


@pytest.mark.parametrize(
    ("access", "refresh"),
    list(product([None, "", "garbage", TAMPERED, token(now=NOW - 5000)], [None, ""])),
)
def test_j1_no_subset_of_bad_cookies_is_an_identity(access, refresh):
    """Envoy CVE-2022-29226 took any access token when another cookie was missing."""
    decision = pipeline().decide(request(access=access, refresh=refresh), NOW)

    assert refused(decision)[0] == 401


@given(st.binary(max_size=300))
def test_c2_no_cookie_header_is_an_identity_or_an_error(cookie):
    asked = request()
    asked.cookie = cookie

    decision = pipeline().decide(asked, NOW)

    assert isinstance(decision, Refuse | Renew)
