"""HS256 secrets: random and long, or the gateway does not start (J2)."""

import json
import secrets

import pytest

from gateway.tokens.algorithms import UnfitKey, public_jwk
from gateway.tokens.shared_secrets import secret_keys
from tests.fakes import signing_key

GOOD = "Zt5rWJ0uKpXqvE3yLh8nBf2sCd6aGm9o"
OTHER = "q7Rk1VnXw4TzPb0sYeJc5uLdHg8fMa3i"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "at least 32"),
        ("changeme", "at least 32"),
        (GOOD[:-1], "at least 32"),
        ("a-string-secret-at-least-256-bits-long", "example"),
        ("your-256-bit-secret-your-256-bit-secret", "example"),
        ("your-super-secret-jwt-token-with-at-least-32-characters-long", "example"),
        (f"ChangeMe{GOOD}", "example"),
        (f"change_me{GOOD}", "example"),
        (f"{GOOD}-EXAMPLE", "example"),
        ("a" * 64, "repeats"),
        ("0123456789" * 4, "repeats"),
        ("0123456789abcdef0123456789abcdef", "repeats"),
        ("abcabcabcabcabcabcabcabcabcabcabcabc", "repeats"),
        (GOOD[:20] * 2, "repeats"),
        ("abcdefghiabcdefgihabcdefhgiabcdegfhi", "repeats"),  # nine letters in no fixed order
        ("-----BEGIN PUBLIC KEY-----\n" + GOOD, "PEM"),
        ("  -----BEGIN CERTIFICATE-----\n" + GOOD, "PEM"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + GOOD, "SSH"),
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTI" + GOOD, "SSH"),
        (json.dumps({"kty": "oct", "k": GOOD}), "JWK"),
        (json.dumps({"keys": [{"kty": "oct", "k": GOOD}]}), "JWK"),
        (f"  [{json.dumps(GOOD)}]", "JWK"),
        (json.dumps(public_jwk(signing_key().verifying())), "JWK"),
    ],
)
def test_a_secret_that_is_short_known_or_no_secret_is_refused(secret: str, why: str) -> None:
    with pytest.raises(UnfitKey, match=why) as caught:
        secret_keys([secret])

    assert GOOD[:20] not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        GOOD,
        "d41d8cd98f00b204e9800998ecf8427e",
        "pa ssw ord of nine words that nobody ever thought of",
    ],
)
def test_a_random_secret_is_taken(secret: str) -> None:
    assert secret_keys([secret]).signing(1e9).private == secret.encode()


@pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe])
def test_every_usual_way_to_make_a_secret_makes_a_good_one(make) -> None:
    for _ in range(500):
        secret_keys([make(32)])


def test_the_first_secret_signs_and_the_others_verify() -> None:
    keys = secret_keys([GOOD, OTHER])
    swapped = secret_keys([OTHER, GOOD])
    signing = keys.signing(1e9)

    assert signing.private == GOOD.encode()
    assert swapped.signing(1e9).private == OTHER.encode()
    assert swapped.verifying(signing.kid) == signing.verifying()
    assert keys.refresh_secrets(1e9)[0][0] == signing.kid


def test_one_secret_twice_is_a_mistake() -> None:
    with pytest.raises(UnfitKey, match="twice"):
        secret_keys([GOOD, GOOD])


def test_no_secret_at_all_is_a_mistake() -> None:
    with pytest.raises(UnfitKey):
        secret_keys([])


def test_the_name_of_a_key_tells_nothing_of_the_secret_and_stays_the_same() -> None:
    kid = secret_keys([GOOD]).signing(1e9).kid

    assert kid == secret_keys([OTHER, GOOD]).keys[1].kid
    assert len(kid) == 16
    assert GOOD[:4] not in kid
