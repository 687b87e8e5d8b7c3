"""What was proven before is not proven again, within bounds, and never outlives its reasons."""

import pytest

from gateway.headers.cookies import our_cookies
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.pipeline import Forward, Pipeline, Reason, Settings
from gateway.policy.routes import Routes
from gateway.sessions.revocation import DenySet, Revocation
from gateway.tokens.access import AccessToken
from gateway.tokens.assertion import AssertionSigner
from tests.pipeline.house import KEYS, NOW, ROUTES, VERIFIER, pipeline, refused, request, token


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
