"""Access tokens: what must hold before one is believed, each check with the token it stops."""

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.tokens.access import (
    COOKIE_FRAME,
    MAX_COOKIE,
    AccessToken,
    BadToken,
    ExpiredToken,
    Signer,
    TokenTooLarge,
    UnfitPrincipal,
    UnknownKey,
    Verifier,
)
from gateway.tokens.algorithms import sign
from gateway.tokens.assertion import AssertionSigner
from gateway.tokens.keys import KeySet
from tests.fakes import signing_key
from tests.tokens.forgery import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    forge,
    forge_parts,
    header,
    part,
)

KEY = signing_key()
KEYS = KeySet((KEY,))
LIFETIME = 900.0
SIGNER = Signer(lambda: KEYS, ISSUER, AUDIENCE, LIFETIME)
VERIFIER = Verifier(lambda: KEYS, ISSUER, AUDIENCE, leeway=10.0)
ALICE = Principal(
    "alice",
    name="Alice Ünal",
    email="alice@example.com",
    groups=("admins", "staff"),
    claims={"hd": "example.com", "level": 3},
)


def signed(principal: Principal = ALICE, *, signer: Signer = SIGNER, now: float = NOW) -> str:
    return signer.sign(principal, "session-1", 4, now, None, "token-1")[0]


def test_a_token_proves_what_was_signed() -> None:
    token, expires_at = SIGNER.sign(ALICE, "session-1", 4, NOW, None, "token-1")

    assert expires_at == NOW + LIFETIME
    assert VERIFIER.verify(token, NOW) == AccessToken(
        principal=ALICE,
        session_id="session-1",
        generation=4,
        issued_at=NOW,
        expires_at=expires_at,
        token_id="token-1",
        issuer=ISSUER,
        audience=AUDIENCE,
    )


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_every_algorithm_makes_tokens_below_a_kilobyte(algorithm: str) -> None:
    keys = KeySet((signing_key(algorithm, kid="0123456789abcdef"),))
    verifier = Verifier(lambda: keys, "https://gateway.example.com", AUDIENCE)
    signer = Signer(lambda: keys, "https://gateway.example.com", AUDIENCE, LIFETIME)
    person = Principal(
        "maximiliane.mustermann",
        name="Maximiliane Mustermann",
        email="maximiliane.mustermann@example.com",
        groups=tuple(f"department-{number}" for number in range(8)),
    )
    token, _ = signer.sign(person, "A" * 22, 12, NOW + 0.123, None, "B" * 22)

    assert verifier.verify(token, NOW + 1).principal == person
    assert len(token) < 1024


def test_a_token_never_outlives_the_session() -> None:
    token, expires_at = SIGNER.sign(ALICE, "session-1", 1, NOW, NOW + 60, "token-1")

    assert expires_at == NOW + 60
    assert VERIFIER.verify(token, NOW + 59).expires_at == NOW + 60
    assert SIGNER.sign(ALICE, "session-1", 1, NOW, NOW + 9999, "t")[1] == NOW + LIFETIME


@given(st.floats(1e9, 4e9))
def test_times_are_whole_milliseconds_and_the_caller_is_told_the_very_same(now: float) -> None:
    token, expires_at = SIGNER.sign(ALICE, "session-1", 1, now, None, "token-1")
    access = VERIFIER.verify(token, now)

    assert access.expires_at == expires_at
    assert access.issued_at == round(now, 3)
    assert access.expires_at == round(expires_at, 3)


# ----------------------------------------------------------------------- each check bites


def test_the_token_that_all_forgeries_start_from_is_believed() -> None:
    access = VERIFIER.verify(forge(KEY, header(KEY), CLAIMS), NOW)

    assert (access.principal, access.session_id) == (Principal("alice"), "session-1")


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in CLAIMS.items() if key != name}


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "sid", "jti", "gen", "iat", "exp"])
def test_every_required_claim_is_required(name: str) -> None:
    """J3."""
    with pytest.raises(BadToken):
        VERIFIER.verify(forge(KEY, header(KEY), without(name)), NOW)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("iss", ["", "https://gateway.example/", "https://gateway.exampl", "https", None, 1]),
        ("iss", [[ISSUER], {"iss": ISSUER}, ISSUER.upper(), f"{ISSUER}.evil.example"]),
        (
            "aud",
            ["", "gate", "gateway2", "GATEWAY", None, 1, [], ["other"], ["gate"], [["gateway"]]],
        ),
        ("aud", [{"gateway": 1}, ["Gateway"], True]),
        ("sub", ["", None, 1, ["alice"], {"a": 1}, True]),
        ("sid", ["", None, 1, ["session-1"], False]),
        ("jti", ["", None, 1, ["token-1"]]),
        ("gen", [-1, 1.5, "1", None, True, [1]]),
        ("iat", ["1800000000", None, True, [NOW], {}]),
        ("exp", [str(NOW + 890), None, True, [NOW + 890], {}]),
        ("name", ["", None, 1, ["Alice"]]),
        ("email", ["", None, 1, ["a@example.com"]]),
        ("groups", ["admins", None, 1, {"admins": 1}, [1], ["a", None], [["a"]]]),
    ],
)
def test_a_claim_of_the_wrong_value_or_type_is_refused(name: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(BadToken):
            VERIFIER.verify(forge(KEY, header(KEY), {**CLAIMS, name: value}), NOW)


def test_an_audience_in_a_list_counts() -> None:
    token = forge(KEY, header(KEY), {**CLAIMS, "aud": ["other", AUDIENCE]})

    assert VERIFIER.verify(token, NOW).audience == AUDIENCE


@pytest.mark.parametrize(
    "token_type",
    [
        *[None, "", "JWT", "jwt", "AT+JWT", "application/at+jwt", "id_token", "assertion+jwt"],
        *["logout+jwt", "refresh+jwt", "at+jwt ", ["at+jwt"], 1],
    ],
)
def test_a_token_of_another_kind_signed_by_our_key_is_refused(token_type: object) -> None:
    """J3, CVE-2024-47616: every claim fits, the kind does not."""
    with pytest.raises(BadToken, match="not an access token"):
        VERIFIER.verify(forge(KEY, {**header(KEY), "typ": token_type}, CLAIMS), NOW)


def test_a_token_without_a_kind_is_refused() -> None:
    with pytest.raises(BadToken, match="not an access token"):
        VERIFIER.verify(forge(KEY, {"alg": KEY.algorithm, "kid": KEY.kid}, CLAIMS), NOW)


def test_an_assertion_of_ours_is_no_access_token_even_for_the_same_audience() -> None:
    assertion, _ = AssertionSigner(lambda: KEYS, ISSUER, AUDIENCE).sign(ALICE, NOW)

    with pytest.raises(BadToken, match="not an access token"):
        VERIFIER.verify(assertion, NOW)


def test_a_key_that_is_not_in_the_set_is_unknown() -> None:
    stranger = signing_key(kid="stranger")

    with pytest.raises(UnknownKey):
        VERIFIER.verify(forge(stranger, header(stranger), CLAIMS), NOW)


def test_a_stranger_who_borrows_the_name_of_our_key_is_refused() -> None:
    with pytest.raises(BadToken, match="signature"):
        VERIFIER.verify(forge(signing_key(), header(KEY), CLAIMS), NOW)


def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    """CVE-2026-27962, CVE-2018-0114: `jwk`, `jku`, `x5u` and `x5c` choose nothing."""
    stranger = signing_key(kid="stranger")
    public = KeySet((stranger,)).jwks()["keys"][0]
    for name, value in {
        "jwk": public,
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["MIIB"],
    }.items():
        for kid in ("stranger", KEY.kid):
            head = {**header(stranger), "kid": kid, name: value}
            with pytest.raises(BadToken):
                VERIFIER.verify(forge(stranger, head, CLAIMS), NOW)


def public_forms() -> list[bytes]:
    public = KEY.private.public_key()
    return [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        json.dumps(KEYS.jwks()["keys"][0]).encode(),
        json.dumps(KEYS.jwks()["keys"][0], separators=(",", ":")).encode(),
        b"",
        b"\0",
    ]


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_our_public_key_is_no_secret_to_sign_with(alg: str) -> None:
    """CVE-2017-11424, CVE-2022-29217, CVE-2026-48526: algorithm confusion."""
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    for secret in public_forms():
        body = f"{part({**header(KEY), 'alg': alg})}.{part(CLAIMS)}"
        signature = hmac.new(secret, body.encode(), digest).digest()
        with pytest.raises(BadToken, match="not signed with ES256"):
            VERIFIER.verify(f"{body}.{part(signature)}", NOW)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AA", "A" * 86])
def test_an_unsigned_token_is_refused(alg: str, signature: str) -> None:
    with pytest.raises(BadToken):
        VERIFIER.verify(f"{part({**header(KEY), 'alg': alg})}.{part(CLAIMS)}.{signature}", NOW)


def test_a_key_of_one_algorithm_never_verifies_another() -> None:
    rsa = signing_key("RS256")
    verifier = Verifier(lambda: KeySet((rsa,)), ISSUER, AUDIENCE)
    body = f"{part({**header(rsa), 'alg': 'PS256'})}.{part(CLAIMS)}"
    token = f"{body}.{part(sign('PS256', rsa.private, body.encode()))}"

    with pytest.raises(BadToken, match="not signed with RS256"):
        verifier.verify(token, NOW)


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
def test_extensions_are_refused(name: str) -> None:
    value = ["b64"] if name == "crit" else False
    with pytest.raises(BadToken, match=name):
        VERIFIER.verify(forge(KEY, {**header(KEY), name: value}, CLAIMS), NOW)


def test_a_payload_with_a_member_twice_is_refused() -> None:
    twice = part(CLAIMS)
    text = json.dumps(CLAIMS)[:-1] + ', "sub": "root"}'
    assert VERIFIER.verify(forge_parts(KEY, part(header(KEY)), twice), NOW)

    with pytest.raises(BadToken, match="strict JSON"):
        VERIFIER.verify(forge(KEY, header(KEY), text.encode()), NOW)


# -------------------------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("now", "error"),
    [
        (NOW, None),
        (NOW + 899.999, None),
        (NOW + 900, ExpiredToken),
        (NOW + 1e9, ExpiredToken),
        (NOW - 10, None),
        (NOW - 10.001, BadToken),
        (NOW - 1e9, BadToken),
    ],
)
def test_a_token_is_believed_from_its_issue_to_its_expiry(
    now: float, error: type[BadToken] | None
) -> None:
    """J5: the same verdict from `verify` and from `check`, whichever way the clock steps."""
    token = signed()
    access = VERIFIER.verify(token, NOW)
    if error is None:
        assert VERIFIER.verify(token, now) == access
        VERIFIER.check(access, now)
        return
    for again in (lambda: VERIFIER.verify(token, now), lambda: VERIFIER.check(access, now)):
        with pytest.raises(error) as caught:
            again()
        assert type(caught.value) is error


def test_an_expired_token_tells_what_it_was() -> None:
    with pytest.raises(ExpiredToken) as caught:
        VERIFIER.verify(signed(), NOW + 1000)

    assert caught.value.token.session_id == "session-1"


def test_a_forged_token_is_never_called_expired() -> None:
    token = forge(signing_key(), header(KEY), {**CLAIMS, "exp": NOW - 1})

    with pytest.raises(BadToken) as caught:
        VERIFIER.verify(token, NOW)

    assert not isinstance(caught.value, ExpiredToken)


@pytest.mark.parametrize("leeway", [-1.0, 60.1, float("nan"), float("inf")])
def test_a_leeway_beyond_a_minute_is_refused(leeway: float) -> None:
    with pytest.raises(ValueError, match="leeway"):
        Verifier(lambda: KEYS, ISSUER, AUDIENCE, leeway)


# ---------------------------------------------------------------------------- rotation


def test_rotation_signs_nobody_out_and_removal_works_at_once() -> None:
    """J6."""
    old, new = signing_key(created=0.0, kid="old"), signing_key(created=NOW, kid="new")
    held = [KeySet((old,))]
    signer = Signer(lambda: held[0], ISSUER, AUDIENCE, LIFETIME)
    verifier = Verifier(lambda: held[0], ISSUER, AUDIENCE)
    before = signed(signer=signer)

    held[0] = KeySet((old, new))
    during = signed(signer=signer, now=NOW + 59)
    after = signed(signer=signer, now=NOW + 60)
    for token in (before, during, after):
        assert verifier.verify(token, NOW + 60).principal == ALICE

    held[0] = KeySet((new,))
    assert verifier.verify(after, NOW + 60).principal == ALICE
    for token in (before, during):
        with pytest.raises(UnknownKey):
            verifier.verify(token, NOW + 60)


# ------------------------------------------------------------------------ unfit people


def test_a_person_whose_token_fits_no_cookie_is_named_and_told_why() -> None:
    crowd = Principal("alice", groups=tuple(f"group-number-{number}" for number in range(400)))

    with pytest.raises(TokenTooLarge, match=r"'alice'.*400 groups"):
        signed(crowd)


@given(st.integers(0, 3200))
@settings(max_examples=50)
def test_every_token_that_is_made_fits_a_cookie_and_is_believed(size: int) -> None:
    try:
        token = signed(Principal("alice", name="n" * size))
    except TokenTooLarge:
        assert size > 2000
    else:
        assert len(token) + COOKIE_FRAME <= MAX_COOKIE
        assert len(VERIFIER.verify(token, NOW).principal.name) == size


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, float("nan"), float("inf"), "\ud800", object()]
)
def test_a_claim_that_no_json_can_say_is_named_not_signed(value: object) -> None:
    with pytest.raises(UnfitPrincipal, match="'alice'"):
        signed(Principal("alice", claims={"odd": value}))


@pytest.mark.parametrize(
    "value", [10**20, -(10**20), {1: "a", "1": "b"}, json.loads("[" * 20 + "]" * 20)]
)
def test_a_claim_that_no_verifier_would_read_is_not_signed(value: object) -> None:
    with pytest.raises(UnfitPrincipal):
        signed(Principal("alice", claims={"odd": value}))


# -------------------------------------------------------------------------------- fuzz


VALID = signed()


@given(st.text(max_size=200))
def test_any_text_is_a_bad_token_and_never_another_error(text: str) -> None:
    with pytest.raises(BadToken):
        VERIFIER.verify(text, NOW)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_any_three_parts_are_a_bad_token(parts: list[bytes]) -> None:
    with pytest.raises(BadToken):
        VERIFIER.verify(".".join(part(data) for data in parts), NOW)


@given(
    st.integers(0, len(VALID) - 1),
    st.integers(0, 3),
    st.text(st.sampled_from("ABab01-_.=+/ \n\0é"), max_size=3),
)
def test_a_changed_token_is_never_believed(place: int, removed: int, inserted: str) -> None:
    changed = VALID[:place] + inserted + VALID[place + removed :]
    if changed == VALID:
        return

    with pytest.raises(BadToken):
        VERIFIER.verify(changed, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
names = st.sampled_from([*CLAIMS, "nbf", "name", "email", "groups", "alg", "kid", "typ", "crit"])


@given(st.dictionaries(names, json_values, max_size=3), st.dictionaries(names, json_values))
def test_signed_nonsense_is_believed_or_a_bad_token(
    head: dict[str, object], said: dict[str, object]
) -> None:
    """Whoever holds a key can still not make the gateway fail with anything but BadToken."""
    try:
        access = VERIFIER.verify(forge(KEY, {**header(KEY), **head}, {**CLAIMS, **said}), NOW)
    except BadToken:
        return
    assert access.expires_at > NOW
    assert isinstance(access.principal.subject, str)
    assert isinstance(access.session_id, str)


@given(st.binary(max_size=300))
def test_signed_bytes_are_a_bad_token(payload: bytes) -> None:
    with pytest.raises(BadToken):
        VERIFIER.verify(forge(KEY, header(KEY), payload), NOW)
