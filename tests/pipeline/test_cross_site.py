"""Other sites, browsers that navigate, and upgrades (SECURITY O6, O8, O9, W1, P5)."""

import pytest

from gateway.pipeline import Forward, Reason, Refuse, Renew
from tests.pipeline.house import NOW, pipeline, refused, request, token


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://localhost"}, False),
        ({}, False),
    ],
)
def test_o9_another_site_changes_nothing_on_the_strength_of_our_cookies(headers, is_refused):
    decider = pipeline()

    by_access = decider.decide(request(method="POST", access=token(), **headers), NOW)
    by_refresh = decider.decide(request(method="POST", refresh="r", **headers), NOW)
    by_bearer = decider.decide(request(method="POST", bearer=token(), **headers), NOW)

    assert isinstance(by_access, Refuse) is is_refused
    assert isinstance(by_refresh, Renew) is not is_refused
    assert isinstance(by_bearer, Forward)


def test_o9_the_guard_can_be_switched_off_for_all_or_one_route():
    foreign = {"sec_fetch_site": "cross-site"}

    assert isinstance(
        pipeline(protect_cross_site=False).decide(
            request(method="POST", access=token(), **foreign), NOW
        ),
        Forward,
    )
    assert isinstance(
        pipeline().decide(request("/hooks/x", "POST", access=token(), **foreign), NOW), Forward
    )


def test_w1_a_websocket_needs_credentials_and_our_own_origin():
    decider = pipeline()

    assert refused(decider.decide(request(upgrade=True, sec_fetch_mode="websocket"), NOW)) == (
        401,
        Reason.UNAUTHENTICATED,
    )
    assert refused(
        decider.decide(request(upgrade=True, access=token(), origin="http://evil"), NOW)
    ) == (403, Reason.CROSS_SITE)
    assert isinstance(
        decider.decide(request(upgrade=True, access=token(), origin="http://localhost"), NOW),
        Forward,
    )


def test_p5_a_real_preflight_passes_where_its_route_says_so_and_a_plain_options_never():
    decider = pipeline()
    real = {"origin": "http://other", "access_control_request_method": "POST"}

    assert isinstance(decider.decide(request("/api/x", "OPTIONS", **real), NOW), Forward)
    assert refused(decider.decide(request("/api/x", "OPTIONS"), NOW))[0] == 404
    assert refused(decider.decide(request("/other", "OPTIONS", **real), NOW))[0] == 404


def test_o6_a_navigation_is_sent_to_sign_in_and_back():
    decision = pipeline().decide(
        request("/a b?x=1&y".replace(" ", "%20"), sec_fetch_mode="navigate"), NOW
    )

    assert isinstance(decision, Refuse)
    assert decision.location == "/auth/login?rd=/a%2520b%3Fx%3D1%26y"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"sec_fetch_mode": "cors", "accept": "text/html"}),
        ("POST", {"sec_fetch_mode": "navigate"}),
        ("GET", {"sec_fetch_mode": "navigate", "sec_purpose": "prefetch"}),
        ("GET", {"accept": "*/*"}),
    ],
)
def test_o6_nothing_but_a_navigation_is_redirected(method, headers):
    decision = pipeline().decide(request("/x", method, **headers), NOW)

    assert refused(decision)[0] == 401
    assert decision.location is None
