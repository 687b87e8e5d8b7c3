"""The assertion: any app can prove it with our public document, nobody can sign in with it."""

import jwt
import pytest

from gateway.identity.principal import Principal
from gateway.tokens import jws
from gateway.tokens.access import UnfitPrincipal
from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.assertion import AssertionSigner
from gateway.tokens.keys import KeySet
from tests.fakes import signing_key

NOW = 1_800_000_000.25
ALICE = Principal("alice", email="alice@example.com", groups=("admins",), claims={"hd": "x"})


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_an_app_proves_it_with_our_public_document_and_any_library(algorithm: str) -> None:
    keys = KeySet((signing_key(algorithm, kid="a"), signing_key(algorithm, kid="b", created=1.0)))
    signer = AssertionSigner(lambda: keys, "https://gateway.example", "https://app.example")

    token, expires_at = signer.sign(ALICE, NOW)

    head = jwt.get_unverified_header(token)
    public = jwt.PyJWKSet.from_dict(keys.jwks())[head["kid"]]
    said = jwt.decode(
        token,
        public,
        algorithms=[algorithm],
        audience="https://app.example",
        issuer="https://gateway.example",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert head == {"alg": algorithm, "kid": "b", "typ": "assertion+jwt"}
    assert said == {
        "iss": "https://gateway.example",
        "aud": "https://app.example",
        "sub": "alice",
        "email": "alice@example.com",
        "groups": ["admins"],
        "hd": "x",
        "iat": 1_800_000_000,
        "exp": 1_800_000_300,
    }
    assert expires_at == 1_800_000_300


def test_an_assertion_never_outlives_what_it_was_made_from() -> None:
    signer = AssertionSigner(lambda: KeySet((signing_key(),)), "i", "a")

    token, expires_at = signer.sign(ALICE, NOW, expires_by=NOW + 60.9)

    assert expires_at == 1_800_000_061
    assert jws.claims(jws.read(token))["exp"] == expires_at


def test_with_a_shared_secret_there_is_no_assertion() -> None:
    signer = AssertionSigner(lambda: KeySet((signing_key("HS256"),)), "i", "a")

    with pytest.raises(UnfitKey, match="HS256"):
        signer.sign(ALICE, NOW)


def test_a_claim_that_no_json_can_say_is_named() -> None:
    signer = AssertionSigner(lambda: KeySet((signing_key(),)), "i", "a")

    with pytest.raises(UnfitPrincipal, match="'alice'"):
        signer.sign(Principal("alice", claims={"odd": object()}), NOW)
