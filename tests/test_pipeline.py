"""One decision for every door (SECURITY P1–P5, I9, J1, O6, O8, O9, W1)."""

from dataclasses import replace
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers.cookies import our_cookies
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.pipeline import PORTAL, Forward, Pipeline, Reason, Refuse, Renew, Settings
from gateway.policy.access import Access, Allow
from gateway.policy.routes import Route, Routes
from gateway.request import Request, parse_authority, parse_target
from gateway.sessions.revocation import DenySet, Revocation
from gateway.tokens.access import AccessToken, Signer, Verifier
from gateway.tokens.assertion import AssertionSigner
from gateway.tokens.foreign import KeysUnavailable
from gateway.tokens.keys import KeySet, SigningKey

NOW = 1_800_000_000.0
PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEYS = KeySet((SigningKey("k1", "ES256", PRIVATE, PRIVATE.public_key(), 0.0),))
SIGNER = Signer(lambda: KEYS, "http://localhost", "gateway", 900.0)
VERIFIER = Verifier(lambda: KEYS, "http://localhost", "gateway")
ROUTES = (
    Route("/auth/*", PORTAL, Access.PUBLIC),
    Route("/public/*", "app", Access.PUBLIC),
    Route("/optional/*", "app", Access.OPTIONAL),
    Route("/admin/*", "app", (Allow(groups=frozenset({"admins"})),)),
    Route("/api/*", "app", preflight=True, methods=frozenset({"POST"})),
    Route("/hooks/*", "app", cross_site=False),
    Route("/*", "app", methods=frozenset({"GET", "POST", "DELETE"})),
)


def token(subject="alice", groups=(), session_id="s1", now=NOW, generation=1) -> str:
    principal = Principal(subject, groups=groups)
    return SIGNER.sign(principal, session_id, generation, now, None, "t1")[0]


def pipeline(deny=None, verify=VERIFIER.verify, assertions=None, **settings) -> Pipeline:
    return Pipeline(
        routes=Routes(ROUTES),
        cookies=our_cookies(
            secure=False, says_session=settings.get("transparent_refresh") == "redirect"
        ),
        identity=IdentityHeaders(assertion="X-Assertion" if assertions else None),
        verify=verify,
        denies=(DenySet() if deny is None else deny).denies,
        settings=replace(Settings("/auth", frozenset({"http://localhost"})), **settings),
        assertions=assertions,
    )


def request(
    path="/x",
    method="GET",
    *,
    access=None,
    refresh=None,
    bearer=None,
    cookie="",
    upgrade=False,
    **headers,
) -> Request:
    pairs = [cookie] if cookie else []
    if access is not None:
        pairs.append(f"accessToken={access}")
    if refresh is not None:
        pairs.append(f"refreshToken={refresh}")
    noted = {name.replace("_", "-"): value.encode("latin-1") for name, value in headers.items()}
    if bearer is not None:
        noted["authorization"] = f"Bearer {bearer}".encode()
    return Request(
        method,
        "http",
        parse_authority("localhost"),
        parse_target(path),
        noted,
        "; ".join(pairs).encode("latin-1"),
        "127.0.0.1",
        upgrade=upgrade,
    )


def refused(decision) -> tuple[int, Reason]:
    assert isinstance(decision, Refuse)
    return decision.status, decision.reason


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


def test_what_was_decided_before_opens_neither_another_route_nor_an_unsafe_request():
    decider = pipeline()
    mine = token()

    first = decider.decide(request("/x", access=mine), NOW)

    assert decider.decide(request("/y", access=mine), NOW + 1) is first
    assert refused(decider.decide(request("/admin/x", access=mine), NOW)) == (403, Reason.FORBIDDEN)
    elsewhere = request("/x", "POST", access=mine, sec_fetch_site="cross-site")
    assert refused(decider.decide(elsewhere, NOW)) == (403, Reason.CROSS_SITE)
    socket = request("/x", access=mine, upgrade=True, origin="http://evil.example")
    assert refused(decider.decide(socket, NOW)) == (403, Reason.CROSS_SITE)
    optional = decider.decide(request("/optional/x", access=mine), NOW)
    assert isinstance(optional, Forward)
    assert optional.route.path == "/optional/*"
    assert refused(decider.decide(request("/x", access=mine), NOW + 901))[0] == 401


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


def test_the_expiry_is_checked_on_every_hit_of_what_was_verified_before():
    decider = pipeline()
    asked = request(access=token())

    assert isinstance(decider.decide(asked, NOW), Forward)
    assert isinstance(decider.decide(asked, NOW + 899), Forward)
    assert refused(decider.decide(asked, NOW + 900))[0] == 401
    assert isinstance(decider.decide(asked, NOW), Forward)
    assert refused(decider.decide(asked, NOW - 3600))[0] == 401


def test_a_token_that_begins_later_counts_for_nothing_after_the_clock_was_set_back():
    asked = []

    def verify(token, now):
        asked.append((token, now))
        return AccessToken(
            Principal("alice"), "", 0, NOW - 900, NOW + 900, issuer="other", not_before=NOW
        )

    decider = pipeline(verify=verify)
    assert isinstance(decider.decide(request(access="t"), NOW), Forward)
    assert isinstance(decider.decide(request(access="t"), NOW), Forward)

    assert refused(decider.decide(request(access="t"), NOW - 120)) == (401, Reason.UNAUTHENTICATED)
    assert asked == [("t", NOW)]


def test_what_keys_had_proven_is_asked_again_once_they_changed():
    asked = []

    def verify(token, now):
        asked.append(token)
        return VERIFIER.verify(token, now)

    decider = pipeline(verify=verify)
    shown, by_bearer = token(), token("bob")
    for _ in range(2):
        decider.decide(request(access=shown), NOW)
        decider.decide(request(bearer=by_bearer), NOW)
    decider.forget()
    decider.decide(request(access=shown), NOW)
    decider.decide(request(bearer=by_bearer), NOW)

    assert asked == [shown, by_bearer] * 2


def test_j7_a_revoked_session_is_denied_at_once_though_its_token_was_verified_before():
    deny = DenySet()
    decider = pipeline(deny)
    asked = request(access=token())
    assert isinstance(decider.decide(asked, NOW), Forward)

    deny.add(Revocation(int(NOW * 1000), int(NOW * 1000) + 900_000, session_id="s1"), NOW)

    assert refused(decider.decide(asked, NOW))[0] == 401
    assert isinstance(decider.decide(request(access=token(session_id="s2")), NOW), Forward)


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


def test_the_portal_alone_sees_our_cookies():
    decision = pipeline().decide(request("/auth/session", access=token(), refresh="r"), NOW)

    assert isinstance(decision, Forward)
    assert b"refreshToken=r" in decision.cookie


def test_keys_of_another_issuer_that_cannot_be_had_are_a_503_not_a_no():
    def unreachable(_token: str, _now: float) -> AccessToken:
        raise KeysUnavailable("no answer")

    decision = pipeline(verify=unreachable).decide(request(bearer="x.y.z"), NOW)

    assert refused(decision) == (503, Reason.KEYS_UNAVAILABLE)


def test_i8_the_assertion_is_made_anew_before_it_runs_out():
    signer = AssertionSigner(lambda: KEYS, "http://localhost", "app", 300.0)
    decider = pipeline(assertions=signer)
    asked = request(access=token())

    first = decider.decide(asked, NOW).authenticated.identity_lines
    same = decider.decide(asked, NOW + 100).authenticated.identity_lines
    later = decider.decide(asked, NOW + 200).authenticated.identity_lines

    assert b"X-Assertion: ey" in first
    assert same == first
    assert later != first


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


@pytest.mark.parametrize(
    ("length", "most"),
    [(1, 20), (5000, 4), (8190, 2), (8191, 0)],
    ids=["short", "long", "8 KiB", "over 8 KiB"],
)
def test_r5_what_is_remembered_is_bounded_in_number_and_in_bytes(length, most):
    decider = Pipeline(
        routes=Routes(ROUTES),
        cookies=our_cookies(secure=False),
        identity=IdentityHeaders(),
        verify=VERIFIER.verify,
        denies=DenySet().denies,
        settings=Settings("/auth", frozenset()),
        remembered=10,
    )

    for number in range(1000):
        decider.decide(request(cookie=f"a={number:0{length}}"), NOW)

    assert decider._authentication._recent.held() == most


@pytest.mark.parametrize(("blanks", "proofs"), [("", 1), (" " * 9000, 2)])
def test_a_bearer_token_is_proven_once_unless_it_is_too_long_to_remember(blanks, proofs):
    asked = []

    def verify(shown, now):
        asked.append(shown)
        return VERIFIER.verify(shown, now)

    decider = pipeline(verify=verify)
    shown = token()

    for number in range(2):
        assert isinstance(decider.decide(request(bearer=blanks + shown), NOW), Forward)
        for other in range(5000):  # more than one generation of what is remembered
            decider.decide(request(cookie=f"a={number}-{other}"), NOW)

    assert asked == [shown] * proofs
