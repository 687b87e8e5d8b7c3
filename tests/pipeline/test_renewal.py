"""Whether a renewal comes first, here or by way of the portal (SECURITY S5, O6)."""

import pytest

from gateway.pipeline import Forward, Pipeline, Reason, Renew
from tests.pipeline.house import NOW, pipeline, refused, request, token


def test_an_expired_token_with_a_refresh_token_is_renewed_first():
    old = token(now=NOW - 1000)

    decision = pipeline().decide(request(access=old, refresh="r1"), NOW)

    assert isinstance(decision, Renew)
    assert decision.refresh_token == "r1"


@pytest.mark.parametrize("mode", ["off", "redirect"])
def test_only_the_inline_way_renews_here(mode):
    decision = pipeline(transparent_refresh=mode).decide(request(refresh="r1"), NOW)

    assert refused(decision) == (401, Reason.UNAUTHENTICATED)


HELD = "refreshTokenHeld=1"
SAME_ORIGIN = {"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}


def redirecting() -> Pipeline:
    return pipeline(transparent_refresh="redirect")


@pytest.mark.parametrize(
    "asked",
    [
        request("/x?a=1&b=[2]", cookie=HELD, sec_fetch_mode="navigate"),
        request("/x?a=1&b=[2]", "POST", cookie=HELD, **SAME_ORIGIN),
        request("/x?a=1&b=[2]", "DELETE", cookie=HELD, access=token(now=NOW - 5000)),
        request("/optional/x?a=1&b=[2]", cookie=HELD, **SAME_ORIGIN),
    ],
    ids=["navigation", "post", "program with an expired token", "optional"],
)
def test_the_redirect_way_sends_whoever_says_to_have_a_session_to_its_renewal(asked):
    decision = redirecting().decide(asked, NOW)

    assert refused(decision) == (401, Reason.EXPIRED)
    assert decision.sent_by == 307
    assert decision.location == f"/auth/refresh?rd={asked.target.path}%3Fa%3D1%26b%3D%5B2%5D"


@pytest.mark.parametrize(
    "asked",
    [
        request(upgrade=True, cookie=HELD, origin="http://localhost"),
        request(cookie=HELD, sec_fetch_mode="navigate", sec_purpose="prefetch"),
        request(method="POST", cookie=HELD, transfer_encoding="chunked"),
        request(access=token(now=NOW - 5000)),
        request(refresh="r1"),
        request(),
    ],
    ids=["websocket", "prefetch", "streamed", "no claim", "refresh token only", "nothing"],
)
def test_the_redirect_way_answers_401_to_all_others(asked):
    decision = redirecting().decide(asked, NOW)

    assert refused(decision)[0] == 401
    assert decision.location is None


def test_o6_without_a_claim_of_a_session_a_navigation_goes_straight_to_sign_in():
    decision = redirecting().decide(request(sec_fetch_mode="navigate"), NOW)

    assert (decision.location, decision.sent_by) == ("/auth/login?rd=/x", 303)


def test_the_redirect_way_lets_public_paths_and_living_tokens_through():
    decider = redirecting()

    for asked in (
        request("/public/x", cookie=HELD),
        request(cookie=HELD, access=token()),
        request(cookie=HELD, bearer=token()),
    ):
        decision = decider.decide(asked, NOW)
        assert isinstance(decision, Forward)
        assert decision.cookie == b""


def test_o9_another_sites_post_is_refused_before_it_is_sent_to_its_renewal():
    decision = redirecting().decide(
        request(method="POST", cookie=HELD, sec_fetch_site="cross-site"), NOW
    )

    assert refused(decision) == (403, Reason.CROSS_SITE)


@pytest.mark.parametrize("mode", ["inline", "redirect", "off"])
@pytest.mark.parametrize("known", [False, True], ids=["met expired", "met good"])
@pytest.mark.parametrize("how", ["access", "bearer"])
def test_a_token_that_has_expired_is_told_from_none_and_from_a_bad_one(mode, known, how):
    decider = pipeline(transparent_refresh=mode)
    asked = request(**{how: token()})
    if known:
        assert isinstance(decider.decide(asked, NOW), Forward)

    assert refused(decider.decide(asked, NOW + 900)) == (401, Reason.EXPIRED)
    assert refused(decider.decide(request(**{how: "garbage"}), NOW)) == (
        401,
        Reason.UNAUTHENTICATED,
    )


def test_an_expired_token_whose_renewal_failed_is_said_to_have_expired():
    decider = pipeline()
    asked = request(access=token(now=NOW - 5000), refresh="r1")
    renew = decider.decide(asked, NOW)

    assert refused(decider.decide_renewed(asked, renew.route, None, NOW)) == (401, Reason.EXPIRED)


def test_public_paths_never_renew_and_optional_ones_do():
    decider = pipeline()

    assert isinstance(decider.decide(request("/public/x", refresh="r"), NOW), Forward)
    assert isinstance(decider.decide(request("/optional/x", refresh="r"), NOW), Renew)


def test_after_a_renewal_the_new_token_decides_and_nothing_is_renewed_twice():
    decider = pipeline()
    asked = request("/x", refresh="r1", cookie="a=b")
    renew = decider.decide(asked, NOW)

    again = decider.decide_renewed(asked, renew.route, token("bob"), NOW)
    without = decider.decide_renewed(asked, renew.route, None, NOW)

    assert isinstance(again, Forward)
    assert again.authenticated.token.principal.subject == "bob"
    assert again.cookie == b"a=b"
    assert refused(without) == (401, Reason.UNAUTHENTICATED)


def test_s5_a_renewal_alone_does_not_say_that_the_client_holds_the_new_token():
    decider = pipeline()
    renew = decider.decide(request("/x", refresh="r1"), NOW)

    renewed = decider.decide_renewed(request("/x", refresh="r1"), renew.route, token(), NOW)
    shown = decider.decide(request("/x", access=token()), NOW)

    assert renewed.authenticated.seen, "nobody is to be told"
    assert not shown.authenticated.seen
