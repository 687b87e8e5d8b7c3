"""Tokens of other issuers: chosen by iss, then by kid; one algorithm per key; unavailable ≠ no."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.tokens.access import AccessToken, BadToken, ExpiredToken, Signer, UnknownKey, Verifier
from gateway.tokens.algorithms import VerifyingKey
from gateway.tokens.foreign import (
    AnyIssuer,
    BadKeySet,
    FixedKeys,
    ForeignIssuer,
    IssuerKeys,
    KeysUnavailable,
    key_set,
)
from gateway.tokens.keys import KeySet
from tests.fakes import signing_key
from tests.tokens.forgery import AUDIENCE, ISSUER, NOW, forge, part
from tests.tokens.forgery import header as own_header

OTHER = "https://other.example/realm"
ALGORITHMS = ("RS256", "ES256", "EdDSA")

OWN = KeySet((signing_key(kid="same-name"),))
KEY = signing_key(kid="same-name")
RSA = signing_key("RS256", kid="rsa")
DOCUMENT = KeySet((KEY, RSA)).jwks()

CLAIMS: dict[str, object] = {
    "iss": OTHER,
    "aud": "api",
    "sub": "248289761001",
    "iat": NOW - 10,
    "exp": NOW + 290,
}
HEADER = {"alg": "ES256", "kid": "same-name", "typ": "at+jwt"}


class Source:
    """Counts how often a key was missed."""

    def __init__(self, known: IssuerKeys | None) -> None:
        self.known = known
        self.misses = 0

    def keys(self) -> IssuerKeys | None:
        return self.known

    def missed(self) -> None:
        self.misses += 1


SOURCE = Source(key_set(json.dumps(DOCUMENT).encode(), ALGORITHMS))


def accepting(source: Source | FixedKeys = SOURCE, **settings: object) -> AnyIssuer:
    foreign = ForeignIssuer(OTHER, "api", source, **settings)
    return AnyIssuer(Verifier(lambda: OWN, ISSUER, AUDIENCE), {OTHER: foreign})


def verified(said: dict[str, object], head: dict[str, object] = HEADER, **settings) -> AccessToken:
    key = RSA if head.get("kid") == "rsa" else KEY
    return accepting(**settings).verify(forge(key, head, said), NOW)


def test_a_token_of_an_accepted_issuer_proves_a_person_without_a_session() -> None:
    assert verified({**CLAIMS, "jti": "t", "scope": "read"}) == AccessToken(
        principal=Principal("248289761001", claims={"scope": "read"}, provider=OTHER),
        session_id="",
        generation=0,
        issued_at=NOW - 10,
        expires_at=NOW + 290,
        token_id="t",
        issuer=OTHER,
        audience="api",
    )


def test_every_published_key_verifies_with_its_own_algorithm() -> None:
    assert verified(CLAIMS, {**HEADER, "kid": "rsa", "alg": "RS256"}).issuer == OTHER


def test_our_own_tokens_are_verified_as_ever() -> None:
    token, _ = Signer(lambda: OWN, ISSUER, AUDIENCE, 900.0).sign(
        Principal("alice"), "session-1", 1, NOW, None, "t"
    )

    assert accepting().verify(token, NOW).session_id == "session-1"


def test_a_key_of_one_issuer_is_no_key_of_another_even_under_the_same_name() -> None:
    ours_by_them = forge(KEY, own_header(KEY), {**CLAIMS, "iss": ISSUER, "aud": AUDIENCE})
    theirs_by_us = forge(OWN.keys[0], HEADER, CLAIMS)

    for token in (ours_by_them, theirs_by_us):
        with pytest.raises(BadToken, match="signature"):
            accepting().verify(token, NOW)


def test_our_own_name_is_never_anothers() -> None:
    foreign = ForeignIssuer(ISSUER, AUDIENCE, SOURCE)
    both = AnyIssuer(Verifier(lambda: OWN, ISSUER, AUDIENCE), {ISSUER: foreign})

    with pytest.raises(BadToken, match="signature"):
        both.verify(forge(KEY, HEADER, {**CLAIMS, "iss": ISSUER, "aud": AUDIENCE}), NOW)


@pytest.mark.parametrize(
    "issuer", ["https://other.example", f"{OTHER}/", OTHER.upper(), "", None, 1]
)
def test_an_issuer_that_is_not_accepted_is_refused(issuer: object) -> None:
    with pytest.raises(BadToken):
        verified({**CLAIMS, "iss": issuer})


def test_a_map_that_names_an_issuer_by_another_name_believes_nothing() -> None:
    foreign = ForeignIssuer(OTHER, "api", SOURCE)
    wrong = AnyIssuer(Verifier(lambda: OWN, ISSUER, AUDIENCE), {"https://alias.example": foreign})

    with pytest.raises(BadToken, match="issuer"):
        wrong.verify(forge(KEY, HEADER, {**CLAIMS, "iss": "https://alias.example"}), NOW)


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "iat", "exp"])
def test_every_required_claim_is_required(name: str) -> None:
    with pytest.raises(BadToken):
        verified({key: value for key, value in CLAIMS.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "gateway"),
        ("aud", ["ap", "apis"]),
        ("sub", ""),
        ("sub", 248289761001),
        ("iat", "yesterday"),
        ("exp", None),
        ("nbf", "tomorrow"),
        ("nbf", None),
        ("jti", 1),
        ("nonce", "n-0S6_WzA2Mj"),
        ("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"),
        ("c_hash", "LDktKdoQak3Pk0cnXxCltA"),
        ("events", {"http://schemas.openid.net/event/backchannel-logout": {}}),
        ("typ", "ID"),
        ("typ", "Refresh"),
        ("typ", "Logout"),
        ("typ", ["Bearer"]),
        ("token_use", "id"),
        ("token_use", 1),
    ],
)
def test_a_claim_of_another_value_or_kind_is_refused(name: str, value: object) -> None:
    """J3: an ID or logout token of the same issuer, for the same audience, included."""
    with pytest.raises(BadToken):
        verified({**CLAIMS, name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("typ", "Bearer"), ("token_use", "access"), ("aud", ["x", "api"])]
)
def test_what_issuers_write_into_access_tokens_is_fine(name: str, value: object) -> None:
    assert verified({**CLAIMS, name: value}).issuer == OTHER


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"])
def test_the_types_that_issuers_give_access_tokens_are_accepted(kind: str) -> None:
    assert verified(CLAIMS, {**HEADER, "typ": kind}).issuer == OTHER


def test_a_type_may_be_missing() -> None:
    assert verified(CLAIMS, {"alg": "ES256", "kid": "same-name"}).issuer == OTHER


@pytest.mark.parametrize(
    "kind", ["", "logout+jwt", "dpop+jwt", "id_token", "assertion+jwt", None, 1]
)
def test_another_type_is_refused(kind: object) -> None:
    with pytest.raises(BadToken, match="not an access token"):
        verified(CLAIMS, {**HEADER, "typ": kind})


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "PS256", "ES384"])
def test_the_token_does_not_choose_the_algorithm(alg: str) -> None:
    with pytest.raises(BadToken, match="not signed with"):
        verified(CLAIMS, {**HEADER, "alg": alg})


def test_a_published_key_is_no_shared_secret() -> None:
    """CVE-2026-48526."""
    secret = json.dumps(DOCUMENT["keys"][0]).encode()
    body = f"{part({**HEADER, 'alg': 'HS256'})}.{part(CLAIMS)}"
    token = f"{body}.{part(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"

    with pytest.raises(BadToken):
        accepting().verify(token, NOW)


# -------------------------------------------------------------------------- unknown keys


def test_an_unknown_key_is_reported_to_whoever_fetches_and_refused() -> None:
    source = Source(SOURCE.known)

    with pytest.raises(UnknownKey):
        accepting(source).verify(forge(KEY, {**HEADER, "kid": "new"}, CLAIMS), NOW)
    assert source.misses == 1


def test_a_token_that_names_no_key_is_refused_and_asks_nobody() -> None:
    source = Source(SOURCE.known)

    with pytest.raises(BadToken):
        accepting(source).verify(forge(KEY, {"alg": "ES256", "typ": "JWT"}, CLAIMS), NOW)
    assert source.misses == 0


def test_keys_never_heard_of_are_unavailable_and_no_verdict() -> None:
    with pytest.raises(KeysUnavailable) as caught:
        accepting(Source(None)).verify(forge(KEY, HEADER, CLAIMS), NOW)

    assert not isinstance(caught.value, BadToken)


def test_fixed_keys_verify_and_refuse_without_asking_anybody() -> None:
    fixed = FixedKeys(SOURCE.known or {})

    assert accepting(fixed).verify(forge(KEY, HEADER, CLAIMS), NOW).issuer == OTHER
    with pytest.raises(UnknownKey):
        accepting(fixed).verify(forge(KEY, {**HEADER, "kid": "new"}, CLAIMS), NOW)


# ----------------------------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("times", "error"),
    [
        ({"exp": NOW}, ExpiredToken),
        ({"exp": NOW + 0.5}, None),
        ({"iat": NOW + 9}, None),
        ({"iat": NOW + 11}, BadToken),
        ({"nbf": NOW + 9}, None),
        ({"nbf": NOW + 11}, BadToken),
        ({"nbf": NOW - 100}, None),
    ],
)
def test_times_are_checked_at_first_and_on_every_later_use(
    times: dict[str, object], error: type[BadToken] | None
) -> None:
    token = forge(KEY, HEADER, {**CLAIMS, **times})
    if error is None:
        assert accepting().verify(token, NOW).issuer == OTHER
        return
    with pytest.raises(error):
        accepting().verify(token, NOW)


def test_a_cached_token_is_checked_against_the_clock_alone() -> None:
    access = verified({**CLAIMS, "nbf": NOW - 5})

    accepting().check(access, NOW)
    with pytest.raises(ExpiredToken):
        accepting().check(access, NOW + 290)
    with pytest.raises(BadToken, match="future"):
        accepting().check(access, NOW - 16)


# ---------------------------------------------------------------------------------- who


def test_an_issuer_can_be_kept_from_naming_our_users() -> None:
    assert verified(CLAIMS, subject_prefix="other:").principal.subject == "other:248289761001"


@pytest.mark.parametrize(
    ("said", "trusted", "email"),
    [
        ({"email_verified": True}, False, "a@example.com"),
        ({"email_verified": False}, False, ""),
        ({"email_verified": "true"}, False, ""),
        ({"email_verified": 1}, False, ""),
        ({}, False, ""),
        ({}, True, "a@example.com"),
    ],
)
def test_an_email_address_counts_only_where_the_issuer_verified_it(
    said: dict[str, object], trusted: bool, email: str
) -> None:
    """O3: at some issuers people write any address into their own profile."""
    access = verified({**CLAIMS, "email": "a@example.com", **said}, trust_email=trusted)

    assert access.principal.email == email


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("name", "Alice", [1, None, ["Alice"]]),
        ("groups", ["a", "b"], ["a", None, [1], ["a", None], {"a": 1}]),
    ],
)
def test_an_optional_claim_of_another_type_is_left_out(
    name: str, good: object, bad: list[object]
) -> None:
    assert getattr(verified({**CLAIMS, name: good}).principal, name) in (good, ("a", "b"))
    for value in bad:
        assert not getattr(verified({**CLAIMS, name: value}).principal, name)


# --------------------------------------------------------------------------- documents


def test_keys_that_are_not_for_us_are_passed_over() -> None:
    listed = [
        *DOCUMENT["keys"],
        {"kty": "oct", "k": "A" * 43, "kid": "oct", "alg": "HS256"},
        {**DOCUMENT["keys"][0], "kid": "enc", "use": "enc"},
        {**DOCUMENT["keys"][0], "kid": None},
        {"kty": "future", "kid": "f"},
        "nonsense",
        7,
        None,
    ]

    assert key_set(json.dumps({"keys": listed, "more": 1}).encode(), ALGORITHMS) == SOURCE.known


def test_an_algorithm_that_is_not_accepted_makes_no_key() -> None:
    keys = key_set(json.dumps(DOCUMENT).encode(), ["RS256"])

    assert {key.algorithm for key in keys.values()} == {"RS256"}


def test_one_name_for_two_keys_names_none() -> None:
    first, second = DOCUMENT["keys"]
    listed = [first, {**second, "kid": first["kid"]}, {**second, "kid": "clear"}]

    assert set(key_set(json.dumps({"keys": listed}).encode(), ALGORITHMS)) == {"clear"}


def test_the_same_key_twice_is_one_key() -> None:
    listed = [DOCUMENT["keys"][0]] * 2

    assert len(key_set(json.dumps({"keys": listed}).encode(), ALGORITHMS)) == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": []}',
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "oct", "kid": "k", "k": "AAAA"}]}',
        b"[" * 100_000,
    ],
)
def test_a_document_without_a_usable_key_is_no_key_set(document: bytes) -> None:
    with pytest.raises(BadKeySet):
        key_set(document, ALGORITHMS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
members = st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e"])


@given(st.sampled_from(DOCUMENT["keys"]), st.dictionaries(members, json_values, min_size=1))
def test_a_damaged_key_is_read_or_passed_over_and_never_another_error(
    jwk: dict[str, object], damage: dict[str, object]
) -> None:
    try:
        keys = key_set(json.dumps({"keys": [{**jwk, **damage}]}).encode(), ALGORITHMS)
    except BadKeySet:
        return
    assert all(isinstance(key, VerifyingKey) for key in keys.values())


names = st.sampled_from([*CLAIMS, "nbf", "jti", "name", "email", "groups", "typ", "token_use"])


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ"]), json_values, max_size=2),
    st.dictionaries(names, json_values, max_size=3),
)
def test_signed_nonsense_is_believed_or_a_bad_token(
    head: dict[str, object], said: dict[str, object]
) -> None:
    try:
        access = accepting().verify(forge(KEY, {**HEADER, **head}, {**CLAIMS, **said}), NOW)
    except BadToken:
        return
    assert access.expires_at > NOW
    assert access.session_id == ""


@given(st.text(max_size=100))
def test_any_text_is_a_bad_token(text: str) -> None:
    with pytest.raises(BadToken):
        accepting().verify(text, NOW)
